import { expect, test } from 'vitest';
import { openFleet } from '../support/fleet.ts';
import { git } from '../support/git-host.ts';
import { eventually } from '../support/service.ts';

const config = (n: number) => ({ 'app.json': JSON.stringify({ n }) });
const CANARY = { waves: [{ name: 'canary', count: 2 }] };

test('a commit that fails in the canary wave stops there, the canaries are back, and the fix reaches all', async () => {
  await using fleet = await openFleet();
  const source = await fleet.source('shops', { rolloutPolicy: CANARY });
  const devices = await fleet.enrol(source, 10, 'shop');
  const good = await fleet.run(devices);
  await fleet.push(source, config(1));
  const first = await fleet.rollout(source, 'completed');
  expect((await fleet.wavesOf(first.id)).map((wave) => [wave.name, wave.succeeded])).toEqual([
    ['canary', 2],
    ['rest', 8],
  ]);
  const before = (await fleet.device('shop-0001')).desired.bundle;

  await good.stop();
  const bad = await fleet.run(devices, { failRate: 1 });
  await fleet.push(source, config(2));
  const aborted = await fleet.rollout(source, 'aborted');
  expect(aborted.end).toMatchObject({ code: 'error_budget' });
  expect(await fleet.touched(aborted.id)).toEqual(['shop-0001', 'shop-0002']);
  await eventually('the canaries are back', async () =>
    (await fleet.devices(source)).every((device) => device.reported.bundle === before && device.desired.bundle === before),
  );
  expect((await fleet.why('shop-0009')).map(({ code }) => code)).toEqual(['rollout_aborted']);

  await bad.stop();
  await fleet.run(devices);
  await fleet.push(source, config(3));
  const fixed = await fleet.rollout(source, 'completed');
  expect(fixed.counts).toMatchObject({ succeeded: 10, failed: 0 });
});

test('devices that a rollout changed go back when it is aborted, and stay there until a newer commit', async () => {
  await using fleet = await openFleet();
  const source = await fleet.source('shops', { rolloutPolicy: { waves: [{ name: 'canary', count: 3, bakeSeconds: 3600 }] } });
  const devices = await fleet.enrol(source, 6, 'shop');
  await fleet.run(devices);
  await fleet.push(source, config(1));
  const first = await fleet.rollout(source, 'running');
  await eventually('the bake', async () => (await fleet.api('GET', `/rollouts/${first.id}`)).body.waiting?.code === 'baking');
  await fleet.api('POST', `/rollouts/${first.id}/skip-wave`, { reason: 'first of all' });
  await fleet.rollout(source, 'completed');
  const before = (await fleet.device('shop-0001')).reported.bundle;

  await fleet.push(source, config(2));
  const second = await eventually('the second bakes', async () => {
    const newest = await fleet.rolloutOf(source.id);
    return newest.id !== first.id && newest.waiting?.code === 'baking' ? newest : undefined;
  });
  expect((await fleet.device('shop-0001')).reported.bundle).not.toBe(before);
  const aborted = await fleet.api('POST', `/rollouts/${second.id}/abort`, { reason: 'complaints' });
  expect(aborted.body).toMatchObject({ state: 'reverting', end: { code: 'aborted', detail: 'admin: complaints' } });
  await fleet.rollout(source, 'reverted');
  for (const device of await fleet.devices(source)) expect(device.reported.bundle).toBe(before);
  expect((await fleet.device('shop-0001')).syncStatus).toBe('rolled_back');
  expect((await fleet.why('shop-0001')).map(({ code }) => code)).toEqual(['rollout_aborted']);
});

test('a rollout waits before its wave until somebody else than the author approves', async () => {
  await using fleet = await openFleet();
  const policy = {
    waves: [
      { name: 'canary', count: 1 },
      { name: 'shops', count: 1, approval: true },
    ],
    approval: { fourEyes: true, expiresAfterSeconds: 3600 },
  };
  const source = await fleet.source('shops', { rolloutPolicy: policy });
  await fleet.run(await fleet.enrol(source, 3, 'shop'));
  await fleet.push(source, config(1));
  const waiting = await fleet.rollout(source, 'awaiting_approval');
  expect(waiting.counts).toMatchObject({ succeeded: 1 });
  await eventually('why', async () => (await fleet.why('shop-0003'))[0]?.code === 'awaiting_approval');
  const person = async (email: string | null) => {
    const { token } = (
      await fleet.api('POST', '/tokens', { name: email ?? 'robot', role: 'operator', ...(email === null ? {} : { email }) })
    ).body;
    return fleet.service.apiAs(token);
  };
  const approve = async (email: string | null) =>
    (await person(email))('POST', `/rollouts/${waiting.id}/approve`, { comment: 'looks good' });
  expect((await approve(null)).body).toMatchObject({ status: 409, code: 'four_eyes' });
  expect((await approve('ADA@example.com')).body).toMatchObject({ status: 409, code: 'four_eyes' });
  expect((await approve('grace@example.com')).status).toBe(200);
  const done = await fleet.rollout(source, 'completed');
  expect(done.approvals).toMatchObject([
    {
      wave: 1,
      decision: 'approved',
      decidedBy: 'grace@example.com',
      decidedFrom: expect.stringMatching(/127\.0\.0\.1|::1/),
      comment: 'looks good',
    },
  ]);
  expect((await fleet.api('POST', `/rollouts/${waiting.id}/approve`, {})).body).toMatchObject({ code: 'nothing_to_approve' });
});

test('outside of its windows a rollout waits, says until when, and an admin may override that', async () => {
  await using fleet = await openFleet();
  const source = await fleet.source('shops', {
    rolloutPolicy: { windows: { timeZone: 'Europe/Berlin', notBefore: new Date(Date.now() + 86_400_000).toISOString() } },
  });
  await fleet.run(await fleet.enrol(source, 2, 'shop'));
  await fleet.push(source, config(1));
  const blocked = await eventually('the wait', async () => {
    const newest = await fleet.rolloutOf(source.id);
    return newest.waiting?.code === 'window_closed' ? newest : undefined;
  });
  expect(Date.parse(blocked.waiting.until)).toBeGreaterThan(Date.now() + 80_000_000);
  expect((await fleet.why('shop-0001')).map(({ code }) => code)).toEqual(['window_closed']);
  const { token } = (await fleet.api('POST', '/tokens', { name: 'op', role: 'operator' })).body;
  expect((await fleet.service.apiAs(token)('POST', `/rollouts/${blocked.id}/override-windows`, { reason: 'outage' })).status).toBe(403);
  await fleet.api('POST', `/rollouts/${blocked.id}/override-windows`, { reason: 'outage' });
  expect(await fleet.rollout(source, 'completed')).toMatchObject({ windowsOverriddenBy: 'admin', counts: { succeeded: 2 } });
  const audited = (await fleet.api('GET', `/audit?subject=rollout:${blocked.id}`)).body.items;
  expect(audited).toContainEqual(
    expect.objectContaining({ action: 'rollout.override_windows', detail: expect.objectContaining({ reason: 'outage' }) }),
  );
});

test('a source comes after another, and says so while it waits', async () => {
  await using fleet = await openFleet();
  const network = await fleet.source('base-network', { rolloutPolicy: { waves: [{ count: 1, bakeSeconds: 3600 }] } });
  const shops = await fleet.source('shops', { rolloutPolicy: { after: ['base-network'] } });
  await fleet.run([...(await fleet.enrol(network, 1, 'router')), ...(await fleet.enrol(shops, 1, 'shop'))]);
  await fleet.push(network, config(1));
  await fleet.push(shops, config(1));
  const blocked = await eventually('the wait', async () => (await fleet.why('shop-0001')).find(({ code }) => code === 'dependency'));
  expect(blocked.detail).toMatch(/waits for source "base-network", whose rollout .* is running/);
  const first = await fleet.rolloutOf(network.id);
  await eventually('the bake', async () => (await fleet.rolloutOf(network.id)).waiting?.code === 'baking');
  await fleet.api('POST', `/rollouts/${first.id}/skip-wave`, {});
  await fleet.rollout(shops, 'completed');
});

test('holds on a device, its site and its source are respected, and why names them', async () => {
  await using fleet = await openFleet();
  const source = await fleet.source('shops');
  const site = (await fleet.api('POST', '/sites', { name: 'berlin' })).body;
  await fleet.run([...(await fleet.enrol(source, 1, 'here', { siteId: site.id })), ...(await fleet.enrol(source, 2, 'there'))]);
  await fleet.push(source, config(1));
  await fleet.rollout(source, 'completed');
  await fleet.api('POST', `/sites/${site.id}/hold`, { reason: 'fair' });
  await fleet.api('POST', '/devices/there-0001/hold', { reason: 'demo' });
  await fleet.push(source, config(2));
  const second = await fleet.rollout(source, 'completed');
  expect(second.counts).toMatchObject({ succeeded: 1 });
  expect(await fleet.why('here-0001')).toMatchObject([{ code: 'site_held', detail: 'Site "berlin" is held by admin: fair' }]);
  expect((await fleet.why('there-0001'))[0]).toMatchObject({ code: 'held' });
  await fleet.api('DELETE', `/sites/${site.id}/hold`);
  await fleet.api('DELETE', '/devices/there-0001/hold');
  for (const id of ['here-0001', 'there-0001']) await eventually(`${id} follows again`, async () => (await fleet.why(id)).length === 0);

  await fleet.api('POST', `/sources/${source.id}/hold`, { reason: 'audit' });
  await fleet.push(source, config(3));
  expect((await fleet.rolloutOf(source.id)).id).toBe(second.id);
  expect(await fleet.why('there-0002')).toMatchObject([{ code: 'source_held', detail: 'Source "shops" is held by admin: audit' }]);
  await fleet.api('DELETE', `/sources/${source.id}/hold`);
  await eventually('the commit goes out', async () => (await fleet.rolloutOf(source.id)).id !== second.id);
  expect((await fleet.rollout(source, 'completed')).counts).toMatchObject({ succeeded: 3 });
});

test('a newer commit replaces a rollout that is stuck, and devices on the old one join', async () => {
  await using fleet = await openFleet();
  const source = await fleet.source('shops', { rolloutPolicy: { waves: [{ count: 1, bakeSeconds: 3600 }] } });
  await fleet.run(await fleet.enrol(source, 3, 'shop'));
  await fleet.push(source, config(1));
  const stuck = await eventually('the bake', async () => {
    const newest = await fleet.rolloutOf(source.id);
    return newest?.waiting?.code === 'baking' ? newest : undefined;
  });
  await fleet.api('POST', `/rollouts/${stuck.id}/pause`, { reason: 'lunch' });
  await fleet.api('PATCH', `/sources/${source.id}`, { rolloutPolicy: {} });
  await fleet.push(source, config(2));
  await eventually('the newer one', async () => (await fleet.rolloutOf(source.id)).id !== stuck.id);
  expect((await fleet.rollout(source, 'completed')).counts).toMatchObject({ succeeded: 3 });
  expect((await fleet.api('GET', `/rollouts/${stuck.id}`)).body.state).toBe('superseded');
  expect((await fleet.api('POST', `/rollouts/${stuck.id}/resume`, {})).body).toMatchObject({ status: 409, code: 'wrong_state' });
});

test('a device that is away blocks no wave and counts against no gate; when it returns it gets the latest good revision', async () => {
  await using fleet = await openFleet();
  const policy = {
    waves: [{ name: 'canary', devices: ['shop-0001', 'shop-0002'] }],
    gate: { success: 100 },
    maxParallel: 2,
    offlineGraceSeconds: 0,
  };
  const source = await fleet.source('shops', { rolloutPolicy: policy });
  const [away, ...there] = await fleet.enrol(source, 5, 'shop');
  await fleet.run(there);
  await fleet.push(source, config(1));
  await fleet.rollout(source, 'completed');
  await fleet.push(source, config(2));
  const second = await eventually('the second', async () => {
    const newest = await fleet.rolloutOf(source.id);
    return newest.state === 'completed' ? newest : undefined;
  });
  if (away === undefined) throw new Error('nobody is away');
  expect((await fleet.why(away.id)).map(({ code }) => code)).toEqual(['never_seen', 'awaiting_rollout']);
  await fleet.run([away]);
  await eventually(
    'it caught up',
    async () => (await fleet.device(away.id)).syncStatus === 'in_sync' && (await fleet.device(away.id)).reported.bundle !== null,
  );
  const attempts = (await fleet.api('GET', `/devices/${away.id}/deployments`)).body.items;
  expect(attempts).toHaveLength(1);
  expect(attempts[0]).toMatchObject({ revisionId: second.revisionId, state: 'succeeded' });
});

test('rolling a source back holds it at the older revision until somebody lifts the hold, and offers the revert commit as a branch', async () => {
  await using fleet = await openFleet();
  const source = await fleet.source('shops', {}, { user: 'bot', password: 'pass' });
  await fleet.run(await fleet.enrol(source, 2, 'shop'));
  await fleet.push(source, config(1));
  const first = await fleet.rollout(source, 'completed');
  const good = (await fleet.device('shop-0001')).reported.bundle;
  await fleet.push(source, config(2));
  const second = await eventually('the second', async () => {
    const newest = await fleet.rolloutOf(source.id);
    return newest.id !== first.id && newest.state === 'completed' ? newest : undefined;
  });
  const back = await fleet.api('POST', `/sources/${source.id}/rollback`, { reason: 'sales fell', branch: 'revert-2' });
  expect(back.status).toBe(201);
  expect(back.body).toMatchObject({
    rollout: { kind: 'rollback', revisionId: first.revisionId },
    branch: { name: 'revert-2', error: null },
  });
  await fleet.rollout(source, 'completed');
  for (const device of await fleet.devices(source)) expect(device.reported.bundle).toBe(good);
  expect((await git(fleet.host.pathOf('shops'), ['show', 'revert-2:app.json'])).toString()).toBe('{"n":1}');

  await fleet.push(source, config(3));
  expect((await fleet.rolloutOf(source.id)).kind).toBe('rollback');
  expect((await fleet.why('shop-0001')).map(({ code }) => code)).toContain('source_held');
  await fleet.api('DELETE', `/sources/${source.id}/hold`);
  const third = await eventually('the third', async () => {
    const newest = await fleet.rolloutOf(source.id);
    return newest.kind === 'revision' && newest.state === 'completed' ? newest : undefined;
  });
  expect(third.revisionId).not.toBe(second.revisionId);
  expect((await fleet.devices(source)).every((device) => device.reported.bundle !== good)).toBe(true);
});

test('a device that joins in the middle gets what is established, and the new revision in its turn', async () => {
  await using fleet = await openFleet();
  const source = await fleet.source('shops', { rolloutPolicy: { waves: [{ selector: { ring: 'canary' }, bakeSeconds: 3600 }] } });
  await fleet.run(await fleet.enrol(source, 1, 'canary', { labels: { ring: 'canary' } }));
  await fleet.push(source, config(1));
  const first = await eventually('the bake', async () => {
    const newest = await fleet.rolloutOf(source.id);
    return newest?.waiting?.code === 'baking' ? newest : undefined;
  });
  await fleet.api('POST', `/rollouts/${first.id}/skip-wave`, {});
  await fleet.rollout(source, 'completed');
  const established = (await fleet.device('canary-0001')).reported.bundle;
  await fleet.push(source, config(2));
  const second = await eventually('the bake', async () => {
    const newest = await fleet.rolloutOf(source.id);
    return newest.id !== first.id && newest.waiting?.code === 'baking' ? newest : undefined;
  });
  await fleet.run(await fleet.enrol(source, 1, 'late'));
  await eventually('what is established', async () => (await fleet.device('late-0001')).reported.bundle === established);
  // Labelled as a canary, it is one.
  await fleet.api('PATCH', '/devices/late-0001', { labels: { ring: 'canary' } });
  await eventually('its turn', async () => {
    const { bundle } = (await fleet.device('late-0001')).reported;
    return bundle !== established && bundle === (await fleet.device('canary-0001')).reported.bundle;
  });
  const late = await eventually('it counts', async () => {
    const rollout = (await fleet.api('GET', `/rollouts/${second.id}`)).body;
    return rollout.waves[0].succeeded === 2 ? rollout : undefined;
  });
  expect(late.state).toBe('running');
});

test('what failed is tried again when an operator says so, even after the end', async () => {
  await using fleet = await openFleet();
  const source = await fleet.source('shops');
  const [one, ...rest] = await fleet.enrol(source, 3, 'shop');
  if (one === undefined) throw new Error('no device');
  await fleet.run(rest);
  const failing = await fleet.run([one], { failRate: 1 });
  await fleet.push(source, config(1));
  const rollout = await fleet.rollout(source, 'completed');
  expect(rollout.counts).toMatchObject({ succeeded: 2, failed: 1 });
  await failing.stop();
  await fleet.run([one]);
  expect((await fleet.api('POST', `/rollouts/${rollout.id}/retry`, { deviceIds: ['shop-0002'] })).body).toMatchObject({
    code: 'nothing_to_retry',
  });
  expect((await fleet.api('POST', `/rollouts/${rollout.id}/retry`, {})).status).toBe(200);
  await eventually('all succeeded', async () => (await fleet.api('GET', `/rollouts/${rollout.id}`)).body.counts.succeeded === 3);
  await fleet.rollout(source, 'completed');
});

test('the policy that a commit carries goes before that of the source, unless only the source counts', async () => {
  await using fleet = await openFleet();
  const source = await fleet.source('shops');
  await fleet.run(await fleet.enrol(source, 2, 'shop'));
  const carried = (n: number) => ({
    ...config(n),
    'bellwether.yaml': 'apiVersion: bellwether/v1\nkind: DeviceConfig\nrollout:\n  waves: [{ name: first, count: 1 }]\n',
  });
  await fleet.push(source, carried(1));
  expect((await fleet.rollout(source, 'completed')).waves).toMatchObject([
    { name: 'first', succeeded: 1 },
    { name: 'rest', succeeded: 1 },
  ]);
  await fleet.api('PATCH', `/sources/${source.id}`, { policyFrom: 'source' });
  await fleet.push(source, carried(2));
  const second = await eventually('the second', async () => {
    const newest = await fleet.rolloutOf(source.id);
    return newest.state === 'completed' && newest.policy.waves === undefined ? newest : undefined;
  });
  expect((await fleet.api('GET', `/rollouts/${second.id}`)).body.waves).toMatchObject([{ name: 'rest', succeeded: 2 }]);
  const broken = await fleet.push(source, {
    'bellwether.yaml': 'apiVersion: bellwether/v1\nkind: DeviceConfig\nrollout:\n  waves: [{ count: 0 }]\n',
  });
  const refused = (await fleet.api('GET', `/sources/${source.id}/revisions`)).body.items.find(
    (revision: { commit: string }) => revision.commit === broken,
  );
  expect(refused.verdict).toBe('invalid');
});
