import { describe, expect, onTestFinished, test } from 'vitest';
import { type GoliothServer, openGolioth } from '../../src/demo/vendors/golioth/server.ts';
import { provision } from '../../src/demo/vendors/golioth/state.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { vendorConnector } from '../../src/integration/api.ts';
import type { Platform } from '../../src/integration/provider.ts';
import { BUILT_IN } from '../../src/integration/registry.ts';
import type { Json } from '../../src/wire/text/json.ts';
import { configuration, signal, stored, targetOf, walk, writesOf } from '../conformance/subject.ts';

type Golioth = Required<Omit<Platform, 'outcome' | 'close'>>;

async function open(settings: Record<string, Json> = {}): Promise<{ server: GoliothServer; platform: Golioth }> {
  const server = await openGolioth();
  onTestFinished(() => server.close());
  server.addSetting('LED', 'boolean', false);
  server.addSetting('DELAY', 'integer', 60);
  server.addSetting('RATIO', 'float', 0.5);
  const platform = BUILT_IN.of('golioth').open({
    settings: { ...server.settings, ...settings },
    credentials: server.credentials,
    connect: vendorConnector({ guard: addressGuard({ allowPrivate: true }), isolate: (work) => work() }),
  });
  return { server, platform: platform as Golioth };
}

async function deliver({ push }: Golioth, externalId: string, document: Json) {
  const target = targetOf(externalId);
  const prepared = stored(await push.prepare(target, configuration(document), signal));
  const receipt = stored(await push.apply(target, prepared, 'token', signal));
  const verify = () => push.verify(target, prepared, receipt, 'token', signal);
  return { prepared, receipt, verify, cancel: () => push.cancel(target, prepared, receipt, signal) };
}

describe('the walk', () => {
  test('costs one request for 100 devices with their state, and one for the names of all tags', async () => {
    const { server, platform } = await open();
    server.addTag('lobby');
    for (let n = 0; n < 450; n += 1) server.addDevice({ name: `meter ${n}`, values: { tags: ['lobby'] }, state: { battery: n } });
    const devices = await walk(platform);
    expect(devices.find(({ values }) => values.name === 'meter 449')).toMatchObject({
      state: { battery: 449 },
      values: { tags: ['lobby'] },
    });
    expect(server.requests.filter(({ path }) => path.endsWith('/devices'))).toHaveLength(5);
    expect(server.requests.filter(({ path }) => path.endsWith('/tags'))).toHaveLength(1);
  });

  test('a project is one account, whatever else the settings say', () => {
    const { accountOf } = BUILT_IN.of('golioth');
    const first = accountOf?.({ projectId: 'p' });
    expect(accountOf?.({ projectId: 'p', apiUrl: 'https://api.golioth.io/v1/', onlineSeconds: 60 })).toBe(first);
    expect(accountOf?.({ projectId: 'q' })).not.toBe(first);
    expect(accountOf?.({})).toBeUndefined();
  });

  test('a count that no list can have ends the walk with a clear error', async () => {
    const { server, platform } = await open();
    for (const total of [1e10, Number.MAX_SAFE_INTEGER]) {
      server.faults.push({ path: /devices$/, do: { is: 'answer', response: { status: 200, body: { list: [], total } } } });
      await expect(platform.list(null, signal)).rejects.toMatchObject({ code: 'integration_protocol' });
    }
  });

  test('an id that no list of tags shows costs one more request in all', async () => {
    const { server, platform } = await open();
    for (let n = 0; n < 150; n += 1) server.device(server.addDevice({ name: `meter ${n}` })).tagIds = ['gone'];
    expect((await walk(platform)).every(({ values }) => JSON.stringify(values.tags) === '["gone"]')).toBe(true);
    expect(server.requests.filter(({ path }) => path.endsWith('/tags')).length).toBeLessThanOrEqual(2);
  });
});

test('a device is known by its certificate before its hardware, and never by a name that the platform made up', async () => {
  const { server, platform } = await open();
  const [first, second] = [provision(server.project, 'cert-1'), provision(server.project, 'cert-1')];
  expect(second.name).toMatch(/^cert-1-/);
  expect((await platform.read(first.id, signal))?.identities).toEqual([
    { kind: 'certificate', value: 'cert-1' },
    { kind: 'hardware', value: first.hardwareIds[0] },
  ]);
});

test('a device is online while it was heard of lately, whatever the platform calls its status', async () => {
  const { server, platform } = await open({ onlineSeconds: 60 });
  const id = server.addDevice({ name: 'meter' });
  const device = server.device(id);
  const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();
  Object.assign(device, { lastReport: ago(300), lastSeenOnline: ago(5) });
  expect(await platform.read(id, signal)).toMatchObject({ connectivity: 'online' });
  Object.assign(device, { lastReport: ago(61), lastSeenOnline: ago(3_600) });
  expect(await platform.read(id, signal)).toMatchObject({ connectivity: 'offline' });
});

test('a tag that somebody adds meanwhile stays', async () => {
  const { server, platform } = await open();
  const id = server.addDevice({ name: 'meter', values: { tags: ['a', 'b'] } });
  const other = server.addTag('other');
  const isWrite = { path: /\/devices\/[^/]+$/, method: 'PATCH' };
  server.faults.push({ ...isWrite, do: { is: 'run', what: () => server.device(id).tagIds.push(other) } });
  expect((await platform.update(id, { tags: ['b', 'c'] }, signal)).values.tags).toEqual(['b', 'c', 'other']);
  const body = writesOf(server).find(({ method }) => method === 'PATCH')?.body;
  expect(Object.keys(body as object).toSorted()).toEqual(['addTagId', 'removeTagId']);
});

describe('settings', () => {
  test('every key that does not fit is named, and none is created for the whole project', async () => {
    const { server, platform } = await open();
    const id = server.addDevice({ name: 'meter' });
    const document = { settings: { LED: 1, DELAY: 2 ** 31, RATIO: 'x', MISSING: 1 } };
    const error = await platform.push.prepare(targetOf(id), configuration(document), signal).catch(String);
    for (const part of ['LED is 1', '32 bits', 'RATIO', 'no setting MISSING']) expect(error).toContain(part);
    expect(writesOf(server)).toEqual([]);
    const misspelt = platform.push.prepare(targetOf(id), configuration({ settings: { led: true } }), signal);
    await expect(misspelt).rejects.toMatchObject({ code: 'integration_rejected', message: expect.stringContaining('/settings/led') });
  });

  test('a device that refuses a key refuses the delivery, with the key and the reason, and cancelling brings it back in sync', async () => {
    const { server, platform } = await open();
    const id = server.addDevice({ name: 'meter' });
    await deliver(platform, id, { settings: { DELAY: 30 } });
    server.behave(id, { refuses: ['LED'] });
    const { verify, cancel } = await deliver(platform, id, { settings: { DELAY: 10, LED: true } });
    expect(await verify()).toEqual({ is: 'refused', reason: expect.stringContaining('LED: value out of range') });
    expect(await platform.read(id, signal)).toMatchObject({ verdict: { status: 'out_of_sync', errors: [{ key: 'LED', code: '4' }] } });
    server.behave(id, {});
    await cancel();
    expect(await platform.read(id, signal)).toMatchObject({ verdict: { status: 'in_sync' } });
    expect(server.project.settings.filter(({ deviceId }) => deviceId === id)).toMatchObject([{ key: 'DELAY', value: 30 }]);
  });

  test('an error of a key that the commit does not name is not about the delivery', async () => {
    const { server, platform } = await open();
    const id = server.addDevice({ name: 'meter' });
    server.behave(id, { refuses: ['RATIO'] });
    expect(await (await deliver(platform, id, { settings: { LED: true } })).verify()).toEqual({ is: 'verified' });
  });

  test('a verdict from before the change proves nothing until the device connects', async () => {
    const { server, platform } = await open();
    const id = server.addDevice({ name: 'meter' });
    await deliver(platform, id, { settings: { LED: true, DELAY: 30 } });
    server.behave(id, { offline: true });
    // A removal alone is a change, too.
    const { verify } = await deliver(platform, id, { settings: { LED: true } });
    expect(await verify()).toMatchObject({ is: 'pending', afterSeconds: 5 });
    server.behave(id, {});
    expect(await verify()).toEqual({ is: 'verified' });
  });

  test('a key that a person set in the console stays, and one that an earlier commit set falls back', async () => {
    const { server, platform } = await open();
    const id = server.addDevice({ name: 'meter' });
    const now = new Date().toISOString();
    server.project.settings.push({ id: 's', key: 'RATIO', dataType: 'float', value: 0.9, deviceId: id, createdAt: now, updatedAt: now });
    await deliver(platform, id, { settings: { LED: true } });
    await deliver(platform, id, { settings: { DELAY: 5 } });
    const own = server.project.settings.filter(({ deviceId }) => deviceId === id).map(({ key }) => key);
    expect(own.toSorted()).toEqual(['DELAY', 'RATIO']);
  });

  test('the same commit again is no change, until somebody changes its state in the console', async () => {
    const { server, platform } = await open();
    const id = server.addDevice({ name: 'meter' });
    const document = { settings: { LED: true }, state: { lanes: 3 } };
    await deliver(platform, id, document);
    const again = () => platform.push.prepare(targetOf(id), configuration(document), signal);
    expect((await again()).isUnchanged).toBe(true);
    Object.assign(server.device(id).tree.desired as object, { lanes: 4 });
    expect((await again()).isUnchanged).toBe(false);
  });
});

describe('state', () => {
  test.each([
    [false, 'unverified'],
    [true, 'verified'],
  ])('state alone is proven only by devices that copy the mark (%s)', async (echoesState, is) => {
    const { server, platform } = await open({ echoesState });
    const id = server.addDevice({ name: 'meter' });
    expect((await (await deliver(platform, id, { state: { lanes: 3 } })).verify()).is).toBe(is);
    server.behave(id, { offline: true });
    const later = await (await deliver(platform, id, { state: { lanes: 4 } })).verify();
    expect(later.is).toBe(echoesState ? 'pending' : 'unverified');
  });
});

test('an update is created once for its cohort, and proven by the version that each device reports', async () => {
  const { server, platform } = await open();
  const before = server.addCohort('stable');
  const artifact = server.addArtifact('main', '1.4.2');
  const ids = [1, 2, 3].map((n) => server.addDevice({ name: `meter ${n}` }));
  for (const id of ids) server.device(id).cohortId = before;
  const [good = '', bad = '', away = ''] = ids;
  server.behave(bad, { fails: true });
  server.behave(away, { offline: true });
  const document = { cohort: 'fw-1.4.2', deployment: { name: '1.4.2', artifactIds: [artifact], version: '1.4.2' } };
  expect(await (await deliver(platform, good, document)).verify()).toEqual({ is: 'verified' });
  // A device joins when its wave opens, and not before.
  expect([good, bad, away].map((id) => server.device(id).versions?.main)).toEqual(['1.4.2', undefined, undefined]);
  const refused = await deliver(platform, bad, document);
  expect(await refused.verify()).toEqual({ is: 'refused', reason: expect.stringContaining('the update failed') });
  await refused.cancel();
  expect(server.device(bad).cohortId).toBe(before);
  const late = await deliver(platform, away, document);
  expect(await late.verify()).toMatchObject({ is: 'pending', afterSeconds: 30 });
  server.behave(away, {});
  expect(await late.verify()).toEqual({ is: 'verified' });
  expect(server.project.deployments.size).toBe(1);
  const alone = platform.push.prepare(targetOf(good), configuration({ deployment: document.deployment }), signal);
  await expect(alone).rejects.toMatchObject({
    code: 'integration_rejected',
    message: expect.stringContaining('needs the name of a cohort'),
  });
});

test('a device leaves its cohort, also where the platform ignores null', async () => {
  const { server, platform } = await open();
  const cohort = server.addCohort('canary');
  const id = server.addDevice({ name: 'meter' });
  server.device(id).cohortId = cohort;
  const ignored = { status: 200, body: { data: {} } };
  server.faults.push({ method: 'PATCH', do: { is: 'answer', response: ignored } });
  await deliver(platform, id, { cohort: null });
  expect(server.device(id).cohortId).toBeUndefined();
  expect(writesOf(server).flatMap(({ method, body }) => (method === 'PATCH' ? [body] : []))).toEqual([
    { cohortId: null },
    { cohortId: '' },
  ]);
  await expect(deliver(platform, id, { cohort: 'nowhere' })).rejects.toMatchObject({ code: 'integration_rejected' });
});

test.each([
  ['restart', {}, { state: 'completed' }, 'reboot'],
  ['set_led', { params: [1, 2] }, { state: 'completed' }, 'set_led'],
  ['unknown_thing', {}, { state: 'failed', result: { statusCode: 12, reason: 'the device does not know the method' } }, 'unknown_thing'],
])('command "%s" calls a method and ends with its code', async (type, payload, outcome, method) => {
  const { server, platform } = await open();
  const id = server.addDevice({ name: 'meter' });
  const command = { id: 'c', type, payload, expiresAt: new Date() };
  expect(await platform.execute(targetOf(id), command, signal)).toMatchObject(outcome);
  expect(writesOf(server)[0]?.body).toMatchObject({ method });
  server.behave(id, { offline: true });
  expect(await platform.execute(targetOf(id), command, signal)).toMatchObject({ state: 'failed', result: { statusCode: 14 } });
});

test('the hook takes the secret as a bearer token too', async () => {
  const { platform } = await open();
  const request = (authorization: string) => ({ headers: new Headers({ authorization }), rawBody: Buffer.from('1') });
  expect(platform.hook.verify(request('Bearer secret-1'), 'secret-1')).toBe(true);
  expect(platform.hook.verify(request('Bearer secret-2'), 'secret-1')).toBe(false);
  expect(platform.hook.verify(request('Bearer '), '')).toBe(false);
});
