import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FleetSource, openFleet } from '../support/fleet.ts';
import { eventually } from '../support/service.ts';

/** A gate does not pass without a success: whole rollouts with simulated devices. */

type Fleet = Awaited<ReturnType<typeof openFleet>>;
let fleet: Fleet;
beforeAll(async () => {
  fleet = await openFleet();
});
afterAll(() => fleet[Symbol.asyncDispose]());

const config = (n: number, bad = false) => ({ 'app.json': JSON.stringify({ n, bad }) });
const FAILING = { failWhen: /"bad":true/ };
const canaryOf = (id: string, more: object = {}) => ({ waves: [{ name: 'canary', devices: [id] }], ...more });

const newest = async (source: FleetSource) => {
  const { id } = await fleet.rolloutOf(source.id);
  return (await fleet.api('GET', `/rollouts/${id}`)).body;
};
const waitingFor = (source: FleetSource, code: string) =>
  eventually(`${source.name} waits: ${code}`, async () => {
    const rollout = await newest(source);
    return rollout.waiting?.code === code ? rollout : undefined;
  });
const endOf = (source: FleetSource, not: string) =>
  eventually(`the next rollout of ${source.name} ends`, async () => {
    const rollout = await newest(source);
    return rollout.id !== not && ['aborted', 'reverted', 'completed'].includes(rollout.state) ? rollout : undefined;
  });
const start = async (source: FleetSource, policy?: object) =>
  (await fleet.api('POST', '/rollouts', { sourceId: source.id, ...(policy === undefined ? {} : { policy }) })).body;

/** Devices on a good commit, and a bad commit that failed on the canary. */
async function stoppedAtCanary(name: string) {
  const source = await fleet.source(name, { rolloutPolicy: canaryOf(`${name}-0001`) });
  const devices = await fleet.enrol(source, 4, name);
  await fleet.run(devices, FAILING);
  await fleet.push(source, config(1));
  const first = await fleet.rollout(source, 'completed');
  const good = (await fleet.device(`${name}-0002`)).reported.bundle;
  await fleet.push(source, config(2, true));
  const stopped = await endOf(source, first.id);
  expect(await fleet.touched(stopped.id)).toEqual([`${name}-0001`]);
  return { source, good, stopped };
}

test('(a) a canary that failed does not let a restart pass; only a person who skips the wave goes on', async () => {
  const { source, good, stopped } = await stoppedAtCanary('a');
  const again = await start(source);
  const ended = await endOf(source, stopped.id);
  expect(ended).toMatchObject({ id: again.id, state: 'aborted', end: { code: 'error_budget' }, counts: { failed: 0, quarantined: 1 } });
  expect(ended.end.detail).toContain('1 of 1 devices failed (100 %)');
  expect(ended.end.detail).toContain('in quarantine');
  expect(await fleet.touched(again.id)).toEqual([]);
  const listed = (await fleet.api('GET', `/rollouts/${again.id}/devices?outcome=quarantined`)).body.items;
  expect(listed).toMatchObject([{ deviceId: 'a-0001', wave: 0, deploymentId: null, error: { code: 'health_check_failed' } }]);

  // The budget allows the failure, but the wave still has no success.
  const tolerant = await start(source, canaryOf('a-0001', { errorBudget: { max: 9 } }));
  const waiting = await waitingFor(source, 'no_success');
  expect(waiting.waiting.detail).toContain('a-0001 is in quarantine for this bundle');
  expect(waiting.out).toMatchObject([{ deviceId: 'a-0001', why: 'quarantined' }]);
  expect(waiting.waves[0]).toMatchObject({ quarantined: 1, passedAt: null });
  expect((await fleet.why('a-0003')).map(({ code }) => code)).toEqual(['no_success']);
  expect((await fleet.devices(source)).every(({ reported }) => reported.bundle === good)).toBe(true);

  await fleet.api('POST', `/rollouts/${tolerant.id}/skip-wave`, { reason: 'the canary is broken' });
  await eventually('the rest is reached', async () => (await fleet.touched(tolerant.id)).length > 0);
  const audited = (await fleet.api('GET', `/audit?subject=rollout:${tolerant.id}`)).body.items;
  expect(audited).toContainEqual(
    expect.objectContaining({ action: 'rollout.skip_wave', detail: expect.objectContaining({ reason: 'the canary is broken' }) }),
  );
  // Each device that failed counts once, and the same in the counts, the list and the devices.
  const over = await eventually('all ended', async () => {
    const { counts, ...rollout } = await newest(source);
    return counts.failed === 3 ? { counts, ...rollout } : undefined;
  });
  const failed = (await fleet.api('GET', `/rollouts/${over.id}/devices?outcome=failed`)).body.items;
  expect(failed.map(({ deviceId }: { deviceId: string }) => deviceId)).toEqual(['a-0002', 'a-0003', 'a-0004']);
});

test('(b) a bad base that failed on the canary does not reach other devices by a commit that leaves the canary unchanged', async () => {
  const source = await fleet.source('b', { layout: 'fleet', rolloutPolicy: canaryOf('b-0001') });
  const manifest = { 'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\nlayers: { base: base/ }\n' };
  const own = (id: string, n: number) => ({ [`devices/${id}/own.json`]: JSON.stringify({ n }) });
  const base = (bad: boolean) => ({ 'base/app.json': JSON.stringify({ bad }) });
  await fleet.push(source, { ...manifest, ...base(false), ...own('b-0001', 1), ...own('b-0002', 1), ...own('b-0003', 1) });
  await fleet.run(await fleet.enrol(source, 3, 'b'), FAILING);
  const first = await fleet.rollout(source, 'completed');
  await eventually('all run it', async () => (await fleet.devices(source)).every((device) => device.syncStatus === 'in_sync'));
  await fleet.push(source, base(true));
  const stopped = await endOf(source, first.id);

  await fleet.push(source, own('b-0003', 2));
  const ended = await endOf(source, stopped.id);
  expect(ended).toMatchObject({ state: 'aborted', end: { code: 'error_budget' } });
  expect(await fleet.touched(ended.id)).toEqual([]);
  // A new branch of the test's host is empty.
  const next = { ...manifest, ...base(true), ...own('b-0001', 1), ...own('b-0002', 3), ...own('b-0003', 2) };
  await fleet.host.commit('b', next, { branch: 'next' });
  const plan = (await fleet.api('POST', `/sources/${source.id}/plan?ref=next`)).body;
  expect(plan.waves[0]).toMatchObject({ name: 'canary', devices: 0, quarantined: 1, stop: { code: 'error_budget' } });

  // With a fixed base, a commit that leaves the canary unchanged needs no success of it.
  await fleet.push(source, base(false));
  const repaired = await endOf(source, ended.id);
  expect(repaired.state).toBe('completed');
  await fleet.push(source, own('b-0003', 4));
  expect(await endOf(source, repaired.id)).toMatchObject({ state: 'completed', counts: { succeeded: 1 } });
});

test('(c) lifting the hold of a rollback does not start an aborted revision; a person does, and gates hold', async () => {
  const { source, good, stopped } = await stoppedAtCanary('c');
  await fleet.api('POST', `/sources/${source.id}/rollback`, { reason: 'back' });
  const rollback = await endOf(source, stopped.id);
  expect(rollback).toMatchObject({ kind: 'rollback', state: 'completed' });
  const released = (await fleet.api('DELETE', `/sources/${source.id}/hold`)).body;
  expect(released).toMatchObject({ hold: null, notStarted: expect.stringContaining('was aborted') });
  // Waking the source or changing its settings does not start the revision either.
  await fleet.api('PATCH', `/sources/${source.id}`, { pollIntervalSeconds: 60 });
  await fleet.api('POST', `/sources/${source.id}/sync`);
  expect((await fleet.why('c-0002')).map(({ code }) => code)).toEqual(['not_started']);
  expect((await newest(source)).id).toBe(rollback.id);

  await start(source);
  const ended = await endOf(source, rollback.id);
  expect(['aborted', 'reverted']).toContain(ended.state);
  expect((await fleet.touched(ended.id)).filter((id) => id !== 'c-0001')).toEqual([]);
  for (const device of (await fleet.devices(source)).slice(1)) expect(device.reported.bundle).toBe(good);
});

test('(d) a mistyped canary stops the rollout, and a plan refuses it with the nearest ids', async () => {
  const source = await fleet.source('d', { rolloutPolicy: canaryOf('d-00001') });
  await fleet.run(await fleet.enrol(source, 3, 'd'));
  const commit = await fleet.push(source, config(1));
  const waiting = await waitingFor(source, 'no_success');
  expect(waiting.waiting.detail).toContain('d-00001 is no device of this source');
  expect(await fleet.touched(waiting.id)).toEqual([]);
  const plan = (await fleet.api('POST', `/sources/${source.id}/plan?ref=${commit}`)).body;
  expect(plan.errors).toMatchObject([{ rule: 'unknown_device', pointer: '/rolloutPolicy/waves/0/devices/0' }]);
  expect(plan.errors[0].message).toContain('the nearest known ids are "d-0001"');
  expect(plan.warnings).toMatchObject([{ code: 'empty_wave' }]);

  await fleet.api('PATCH', `/sources/${source.id}`, { rolloutPolicy: canaryOf('d-0001') });
  await start(source);
  expect(await endOf(source, waiting.id)).toMatchObject({ state: 'completed', counts: { succeeded: 3 } });
});

test('(e) an offline canary stops the rollout until it is online; so do a held canary and a label that no device has', async () => {
  const source = await fleet.source('e', { rolloutPolicy: canaryOf('e-0001', { offlineGraceSeconds: 0 }) });
  const [canary, ...others] = await fleet.enrol(source, 3, 'e');
  if (canary === undefined) throw new Error('no canary');
  await fleet.run(others);
  await fleet.push(source, config(1));
  const waiting = await waitingFor(source, 'no_success');
  expect(waiting.waiting.detail).toContain('e-0001 is offline');
  expect(await fleet.touched(waiting.id)).toEqual([]);
  await fleet.run([canary]);
  expect(await fleet.rollout(source, 'completed')).toMatchObject({ id: waiting.id, counts: { succeeded: 3 } });

  await fleet.api('POST', '/devices/e-0001/hold', { reason: 'inventory' });
  await fleet.push(source, config(2));
  expect((await waitingFor(source, 'no_success')).waiting.detail).toContain('e-0001 is held');
  await fleet.api('DELETE', '/devices/e-0001/hold');
  const second = await fleet.rollout(source, 'completed');
  expect(second).toMatchObject({ counts: { succeeded: 3 } });

  await fleet.api('PATCH', `/sources/${source.id}`, { rolloutPolicy: { waves: [{ selector: { ring: 'canry' } }] } });
  await fleet.push(source, config(3));
  const empty = await waitingFor(source, 'no_success');
  expect(empty.waiting.detail).toBe(
    'no device of wave 1 has succeeded: it has no devices. Fix that, or skip the wave to continue without a success',
  );
  await fleet.api('POST', `/rollouts/${empty.id}/skip-wave`, {});
  await fleet.rollout(source, 'completed');
});
