import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RolloutPolicy } from '../../src/policy/policy.ts';
import { checkWaves } from '../../src/rollout/decide/wave-check.ts';
import { type FleetSource, openFleet } from '../support/fleet.ts';
import { eventually } from '../support/service.ts';

/** Gates in whole rollouts with simulated devices: tiny fleets, restarts, newer commits, holds, retries. */

type Fleet = Awaited<ReturnType<typeof openFleet>>;
let fleet: Fleet;
beforeAll(async () => {
  fleet = await openFleet();
});
afterAll(() => fleet[Symbol.asyncDispose]());

const config = (n: number, more: object = {}) => ({ 'app.json': JSON.stringify({ n, ...more }) });
const FAILING = { failWhen: /"bad":true/ };
const newest = async (source: FleetSource) => (await fleet.api('GET', `/rollouts/${(await fleet.rolloutOf(source.id)).id}`)).body;

/** The next rollout after `before`, once it has ended or waits for a person or a clock. */
const rest = (source: FleetSource, before: { id?: string } = {}) =>
  eventually(`${source.name} comes to rest`, async () => {
    const rollout = await newest(source);
    if (rollout.id === before.id) return undefined;
    const waits = ['no_success', 'gate', 'awaiting_approval', 'baking', 'no_telemetry'].includes(rollout.waiting?.code);
    return waits || ['completed', 'aborted', 'reverted'].includes(rollout.state) ? rollout : undefined;
  });
const setPolicy = (source: FleetSource, rolloutPolicy: object) => fleet.api('PATCH', `/sources/${source.id}`, { rolloutPolicy });

/** A source whose devices `<name>-0001` and so on run. */
async function tills(name: string, count: number, rolloutPolicy: object, behaviour: Parameters<Fleet['run']>[1] = {}) {
  const source = await fleet.source(name, { rolloutPolicy });
  await fleet.run(await fleet.enrol(source, count, name), behaviour);
  return source;
}

const own = (id: string, n: number) => ({ [`devices/${id}/own.json`]: JSON.stringify({ n }) });
const base = (n: number) => ({ 'base/app.json': JSON.stringify({ n }) });

/** Three devices with a folder each and a common base, all on the first commit. The policy is that of later ones. */
async function layered(name: string, policy: object) {
  const source = await fleet.source(name, { layout: 'fleet' });
  const manifest = { 'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\nlayers: { base: base/ }\n' };
  await fleet.push(source, { ...manifest, ...base(1), ...own(`${name}-0001`, 1), ...own(`${name}-0002`, 1), ...own(`${name}-0003`, 1) });
  await fleet.run(await fleet.enrol(source, 3, name));
  const first = await fleet.rollout(source, 'completed');
  await eventually('all run it', async () => (await fleet.devices(source)).every(({ syncStatus }) => syncStatus === 'in_sync'));
  await setPolicy(source, policy);
  return { source, first };
}

describe('shares of a tiny fleet', () => {
  test('take one device at first, and a wave without a free place requires no success', async () => {
    const source = await tills('tiny', 3, { waves: [{ upToPercent: 1 }, { upToPercent: 5 }, { upToPercent: 100 }] });
    await fleet.push(source, config(1));
    const { state, waves } = await rest(source);
    expect([state, ...waves.map(({ succeeded }: { succeeded: number }) => succeeded)]).toEqual(['completed', 1, 0, 2, 0]);
  });

  test('never satisfy a gate that requires more successes than the share has devices, as validate and plan warn', async () => {
    const source = await tills('share', 5, { waves: [{ upToPercent: 10, gate: { minSucceeded: 2 } }] });
    const commit = await fleet.push(source, config(1));
    const waiting = await rest(source);
    expect(waiting).toMatchObject({ waiting: { code: 'gate' }, counts: { succeeded: 1 } });
    expect(await fleet.touched(waiting.id)).toEqual(['share-0001']);
    const { warnings } = (await fleet.api('POST', `/sources/${source.id}/plan?ref=${commit}`)).body;
    expect(warnings).toMatchObject([{ code: 'min_succeeded', detail: expect.stringContaining('can never pass') }]);

    // Validation and rollout both round the share up.
    await setPolicy(source, { waves: [{ upToPercent: 30, gate: { minSucceeded: 2 } }] });
    const known = (await fleet.devices(source)).map(({ id }) => ({ id, labels: {} }));
    const policy = RolloutPolicy.parse({ waves: [{ upToPercent: 30, gate: { minSucceeded: 2 } }] });
    expect(checkWaves(policy, null, known).warnings).toEqual([]);
    await fleet.push(source, config(2));
    expect(await rest(source, waiting)).toMatchObject({ state: 'completed', waves: [{ succeeded: 2 }, { succeeded: 3 }] });
  });
});

describe('a canary', () => {
  test('of another source is no device of this one', async () => {
    const elsewhere = await fleet.source('elsewhere');
    await fleet.enrol(elsewhere, 1, 'elsewhere');
    const source = await tills('here', 2, { waves: [{ devices: ['elsewhere-0001'] }] });
    const commit = await fleet.push(source, config(1));
    const waiting = await rest(source);
    expect(waiting.waiting).toMatchObject({
      code: 'no_success',
      detail: expect.stringContaining('elsewhere-0001 is no device of this source'),
    });
    expect(await fleet.touched(waiting.id)).toEqual([]);
    const { errors } = (await fleet.api('POST', `/sources/${source.id}/plan?ref=${commit}`)).body;
    expect(errors).toMatchObject([{ rule: 'unknown_device' }]);
  });

  test('in quarantine for one bundle gets another, and must succeed with it', async () => {
    const source = await tills('other', 3, { waves: [{ devices: ['other-0001'] }] }, FAILING);
    const ends: { id?: string; state: string }[] = [{ state: '' }];
    for (const commit of [config(1), config(2, { bad: true }), config(3), config(2, { bad: true })]) {
      await fleet.push(source, commit);
      ends.push(await rest(source, ends.at(-1)));
    }
    expect(ends.map(({ state }) => state)).toEqual(['', 'completed', 'aborted', 'completed', 'aborted']);
    expect(ends[4]).toMatchObject({ counts: { failed: 1, quarantined: 0 }, waves: [{ failed: 1 }, { failed: 0 }] });
  });

  test('that loses its label before its turn leaves a wave without devices; after its success, that counts', async () => {
    const policy = { waves: [{ selector: { ring: 'canary' }, bakeSeconds: 3600, gate: { metrics: [{ metric: 'error_rate', max: 2 }] } }] };
    const source = await fleet.source('label', { rolloutPolicy: policy });
    const [canary, ...others] = await fleet.enrol(source, 3, 'label');
    if (canary === undefined) throw new Error('no canary');
    await fleet.api('PATCH', '/devices/label-0001', { labels: { ring: 'canary' } });
    await fleet.run(others);
    await fleet.push(source, config(1));
    await fleet.api('PATCH', '/devices/label-0001', { labels: {} });
    const waiting = await rest(source);
    expect(waiting.waiting).toMatchObject({ code: 'no_success', detail: expect.stringContaining('it has no devices') });
    expect(await fleet.touched(waiting.id)).toEqual([]);

    await fleet.api('PATCH', '/devices/label-0001', { labels: { ring: 'canary' } });
    await fleet.run([canary], { telemetrySeconds: 0.1 });
    const baking = await eventually('the bake', async () => {
      const rollout = await newest(source);
      return rollout.waiting?.code === 'baking' ? rollout : undefined;
    });
    await fleet.api('PATCH', '/devices/label-0001', { labels: {} });
    expect(await newest(source)).toMatchObject({ id: baking.id, waves: [{ succeeded: 1, passedAt: null }, {}] });
  });

  test('on which an older rollout succeeded bakes to the end, although a newer commit leaves it unchanged', async () => {
    const { source, first } = await layered('bake', { waves: [{ name: 'canary', devices: ['bake-0001'], bakeSeconds: 3600 }] });
    await fleet.push(source, base(2));
    const paused = await rest(source, first);
    await fleet.api('POST', `/rollouts/${paused.id}/pause`, { reason: 'it looks odd' });
    await fleet.push(source, own('bake-0003', 2));
    const next = await rest(source, paused);
    expect(next).toMatchObject({ waiting: { code: 'baking', detail: paused.waiting.detail }, counts: { succeeded: 0 } });
    expect(await fleet.touched(next.id)).toEqual([]);
    await fleet.api('POST', `/rollouts/${next.id}/skip-wave`, { reason: 'watched it by hand' });
    expect(await fleet.rollout(source, 'completed')).toMatchObject({ id: next.id, counts: { succeeded: 2 } });
  });

  test('whose metrics ended a rollout that did not change it ends the next one, too', async () => {
    const behaviour = { telemetrySeconds: 0.1, driftWhen: /"bad":true/, driftMetric: 'error_rate' as const };
    const source = await tills('metric', 3, {}, behaviour);
    await fleet.push(source, config(1));
    const first = await fleet.rollout(source, 'completed');
    const gate = { metrics: [{ metric: 'error_rate', max: 2 }] };
    await setPolicy(source, { waves: [{ name: 'canary', devices: ['metric-0001'], bakeSeconds: 1, gate }], onAbort: 'stop' });
    await fleet.push(source, config(2, { bad: true }));
    const ended = (id: string) =>
      eventually('the end', async () => {
        const rollout = await newest(source);
        return rollout.id !== id && ['aborted', 'completed'].includes(rollout.state) ? rollout : undefined;
      });
    const stopped = await ended(first.id);
    await fleet.api('POST', '/rollouts', { sourceId: source.id });
    const again = await ended(stopped.id);
    for (const { state, end } of [stopped, again]) expect([state, end.code]).toEqual(['aborted', 'gate_failed']);
    expect(again.end.detail).toMatch(/^error_rate of 1 devices of canary is /);
    expect(await fleet.touched(again.id)).toEqual([]);
  });
});

test('a gate on metrics does not pass a wave whose label no device has', async () => {
  const gate = { metrics: [{ metric: 'error_rate', max: 2 }] };
  const source = await tills('nobody', 2, { waves: [{ selector: { ring: 'none' }, gate }] });
  await fleet.push(source, config(1));
  expect((await rest(source)).waiting).toMatchObject({ code: 'no_success' });
});

test('a rollout does not wait for late joiners that wait for its end', async () => {
  const source = await tills('early', 1, { waves: [{ count: 1, bakeSeconds: 3600 }, { count: 1 }], lateJoiners: 'wait' });
  await fleet.push(source, config(1));
  const baking = await rest(source);
  await fleet.run(await fleet.enrol(source, 1, 'late'));
  await fleet.api('POST', `/rollouts/${baking.id}/skip-wave`, {});
  expect(await fleet.rollout(source, 'completed')).toMatchObject({ id: baking.id });
  const { bundle } = (await fleet.device('early-0001')).reported;
  await eventually('it catches up', async () => (await fleet.device('late-0001')).reported?.bundle === bundle);
});

describe('the approval of a wave', () => {
  test('is requested before later waves, even if the wave has no free place', async () => {
    const source = await tills('approval', 3, { waves: [{ upToPercent: 5 }, { upToPercent: 10, approval: true }] });
    await fleet.push(source, config(1));
    const waiting = await rest(source);
    expect(waiting).toMatchObject({ waiting: { code: 'awaiting_approval' }, counts: { succeeded: 1 } });
    await fleet.api('POST', `/rollouts/${waiting.id}/approve`, {});
    expect(await fleet.rollout(source, 'completed')).toMatchObject({ counts: { succeeded: 3 } });
  });

  test('is requested even if the commit leaves its devices unchanged; the approval of an older rollout does not count', async () => {
    const waves = [
      { name: 'canary', devices: ['pilot-0001'] },
      { name: 'pilot', devices: ['pilot-0002'], approval: true },
    ];
    const { source, first } = await layered('pilot', { waves });
    await fleet.push(source, own('pilot-0003', 2));
    const waiting = await rest(source, first);
    expect(waiting).toMatchObject({ waiting: { code: 'awaiting_approval' }, counts: { succeeded: 0 } });
    await fleet.api('POST', `/rollouts/${waiting.id}/approve`, {});
    const second = await fleet.rollout(source, 'completed');
    await fleet.push(source, own('pilot-0003', 3));
    expect(await rest(source, second)).toMatchObject({ waiting: { code: 'awaiting_approval' } });
  });
});

test('each skip passes one wave, and the audit log has both', async () => {
  const source = await tills('skip', 2, { waves: [{ devices: ['nobody-1'] }, { devices: ['nobody-2'] }] });
  await fleet.push(source, config(1));
  const { id } = await rest(source);
  await fleet.api('POST', `/rollouts/${id}/skip-wave`, { reason: 'one' });
  const second = await eventually('the second wave waits', async () => {
    const rollout = await newest(source);
    return rollout.waiting?.detail.includes('nobody-2') ? rollout : undefined;
  });
  expect(second.waves.map(({ passedAt }: { passedAt: string | null }) => passedAt !== null)).toEqual([true, false, false]);
  await fleet.api('POST', `/rollouts/${id}/skip-wave`, { reason: 'two' });
  await fleet.rollout(source, 'completed');
  const audited = (await fleet.api('GET', `/audit?subject=rollout:${id}`)).body.items;
  const reasons = audited.flatMap(({ detail }: { detail: { reason?: string } }) => detail.reason ?? []);
  expect(reasons.toSorted()).toEqual(['one', 'two']);
});

test('a retry skips devices at a held site, and a device that fails again counts once', async () => {
  const site = (await fleet.api('POST', '/sites', { name: 'retry' })).body;
  const source = await tills('retry', 4, {}, FAILING);
  await fleet.push(source, config(1));
  const first = await fleet.rollout(source, 'completed');
  await fleet.api('PATCH', '/devices/retry-0001', { siteId: site.id });
  await setPolicy(source, { waves: [{ devices: ['retry-0001', 'retry-0002'] }], errorBudget: { max: 2 } });
  await fleet.push(source, config(2, { bad: true }));
  const { id } = await rest(source, first);
  await fleet.api('POST', `/sites/${site.id}/hold`, { reason: 'stock-taking' });
  const retry = async (body: object) => (await fleet.api('POST', `/rollouts/${id}/retry`, body)).status;
  expect(await retry({ deviceIds: ['retry-0001'] })).toBe(409);
  expect(await retry({})).toBe(200);
  await fleet.api('DELETE', `/sites/${site.id}/hold`);
  const attempts = async () => {
    const [row] = await fleet.service.database.sql<[{ n: number }]>`
      select count(*)::int as n from deployments where rollout_id = ${id} and kind = 'retry' and finished_at is not null`;
    return row.n;
  };
  await eventually('one failed again', async () => (await attempts()) === 1);
  expect(await retry({})).toBe(200);
  await eventually('both failed again', async () => (await attempts()) === 3);
  expect(await rest(source, first)).toMatchObject({
    id,
    waiting: { code: 'no_success' },
    counts: { failed: 2, succeeded: 0, quarantined: 0 },
  });
});

test('a device that a wave names twice is one device', () => {
  const policy = RolloutPolicy.parse({ waves: [{ devices: ['till-1', 'till-1'], gate: { minSucceeded: 2 } }] });
  const { errors, warnings } = checkWaves(policy, null, [{ id: 'till-1', labels: {} }]);
  expect([errors, warnings.map(({ code }) => code)]).toEqual([[], ['min_succeeded']]);
});
