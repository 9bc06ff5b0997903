import { expect, test } from 'vitest';
import { type FleetSource, openFleet } from '../support/fleet.ts';
import { eventually } from '../support/service.ts';

type Fleet = Awaited<ReturnType<typeof openFleet>>;

/** With that port a device applies its configuration, passes its health check, and a metric begins to climb. */
const BAD_PORT = 1;
const config = (port: number) => ({ 'app.json': JSON.stringify({ port }) });
const DRIFTING = { telemetrySeconds: 0.1, driftWhen: /"port":1\b/, driftMetric: 'error_rate' as const };
/** Two canaries of six devices. */
const gated = (gate: Record<string, unknown>, bakeSeconds = 1) => ({
  waves: [{ name: 'canary', count: 2, bakeSeconds, gate: { metrics: [{ metric: 'error_rate', ...gate }] } }],
});

/** The next rollout after `before`, once it is in that state. */
const next = (fleet: Fleet, source: FleetSource, before: { id: string } | undefined, state: string) =>
  eventually(`a rollout that is ${state}`, async () => {
    const newest = await fleet.rolloutOf(source.id);
    return newest !== undefined && newest.id !== before?.id && newest.state === state
      ? (await fleet.api('GET', `/rollouts/${newest.id}`)).body
      : undefined;
  });

/** Everybody runs this bundle and is told to. */
async function expectEverywhere(fleet: Fleet, source: FleetSource, bundle: string | null): Promise<void> {
  expect(bundle).not.toBeNull();
  for (const { id, reported, desired } of await fleet.devices(source)) {
    expect(reported.bundle, id).toBe(bundle);
    expect(desired.bundle, id).toBe(bundle);
  }
}

test('an absolute bound: a commit that drives a metric over it is aborted after the bake, and the canaries go back', async () => {
  await using fleet = await openFleet();
  const source = await fleet.source('tills', { rolloutPolicy: gated({ max: 2 }) });
  await fleet.run(await fleet.enrol(source, 6, 'till'), DRIFTING);
  await fleet.push(source, config(2));
  const good = await next(fleet, source, undefined, 'completed');
  const before = (await fleet.device('till-0001')).reported.bundle;
  await fleet.push(source, config(BAD_PORT));
  const bad = await next(fleet, source, good, 'reverted');
  expect(bad.end.code).toBe('gate_failed');
  expect(bad.end.detail).toMatch(/^error_rate of 2 devices of canary is [\d.]+ \(mean\), its gate allows at most 2$/);
  expect(bad.waves[0]).toMatchObject({ name: 'canary', succeeded: 2, failed: 0, passedAt: null });
  expect(await fleet.touched(bad.id)).toEqual(['till-0001', 'till-0002']);
  await expectEverywhere(fleet, source, before);
  expect((await fleet.why('till-0006')).map(({ code }) => code)).toEqual(['rollout_aborted']);
  await fleet.push(source, config(3));
  expect((await next(fleet, source, bad, 'completed')).counts).toMatchObject({ succeeded: 6, failed: 0 });
});

test('against the control group: what all devices have in common passes, what only the updated ones have does not', async () => {
  await using fleet = await openFleet();
  const source = await fleet.source('tills');
  await fleet.run(await fleet.enrol(source, 6, 'till'), DRIFTING);
  // From the first configuration on, everybody has a high error rate: nobody has it because of the next commit.
  await fleet.push(source, { 'app.json': JSON.stringify({ port: BAD_PORT, n: 1 }) });
  const first = await next(fleet, source, undefined, 'completed');
  await fleet.api('PATCH', `/sources/${source.id}`, { rolloutPolicy: gated({ maxRatioToControl: 2 }, 2) });
  await eventually('a high error rate everywhere', async () => Math.min(...(await errorRates(fleet, source))) > 20);
  await fleet.push(source, { 'app.json': JSON.stringify({ port: BAD_PORT, n: 2 }) });
  const second = await next(fleet, source, first, 'completed');
  expect(second.waves[0]).toMatchObject({ succeeded: 2, skippedBy: null });
  // With a good one everybody is calm again; then two devices get worse, and the other four do not.
  await fleet.push(source, config(2));
  const calm = await next(fleet, source, second, 'completed');
  const before = (await fleet.device('till-0001')).reported.bundle;
  await eventually('calm', async () => Math.max(...(await errorRates(fleet, source))) < 2);
  await fleet.push(source, config(BAD_PORT));
  const bad = await next(fleet, source, calm, 'reverted');
  expect(bad.end.detail).toMatch(
    /^error_rate of 2 devices of canary is [\d.]+ \(mean\), its gate allows 2 times the [\d.]+ of the 4 devices not updated yet$/,
  );
  expect(await fleet.touched(bad.id)).toEqual(['till-0001', 'till-0002']);
  await expectEverywhere(fleet, source, before);
});

test('without telemetry the canary waits and says so; once there is some, it passes', async () => {
  await using fleet = await openFleet();
  const source = await fleet.source('tills', { rolloutPolicy: gated({ max: 2 }) });
  const devices = await fleet.enrol(source, 6, 'till');
  const silent = await fleet.run(devices);
  await fleet.push(source, config(2));
  const waiting = await eventually('the wait', async () => {
    const newest = await fleet.rolloutOf(source.id);
    return newest?.waiting?.code === 'no_telemetry' ? newest : undefined;
  });
  expect(waiting.state).toBe('running');
  expect(waiting.waiting.detail).toBe('no device of canary has reported error_rate since it was updated');
  expect(await fleet.why('till-0006')).toMatchObject([
    { code: 'awaiting_rollout', detail: expect.stringContaining('has reported error_rate') },
  ]);
  const told = (await fleet.api('GET', '/events?limit=200')).body.items;
  expect(told).toContainEqual(
    expect.objectContaining({
      type: 'rollout.blocked',
      subject: `rollout:${waiting.id}`,
      data: expect.objectContaining({ code: 'no_telemetry' }),
    }),
  );
  expect(await fleet.touched(waiting.id)).toEqual(['till-0001', 'till-0002']);
  await silent.stop();
  await fleet.run(devices, { telemetrySeconds: 0.1 });
  const done = await fleet.rollout(source, 'completed');
  expect(done.id).toBe(waiting.id);
  expect(done.counts).toMatchObject({ succeeded: 6 });
});

/** What each device has reported last. */
async function errorRates(fleet: Fleet, source: FleetSource): Promise<number[]> {
  const devices = await fleet.devices(source);
  const newest = await Promise.all(devices.map(({ id }) => fleet.api('GET', `/devices/${id}/telemetry?limit=1`)));
  return newest.map(({ body }) => body.items[0].metrics.error_rate);
}
