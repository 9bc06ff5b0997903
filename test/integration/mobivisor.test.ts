import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type MobivisorServer, startMobivisor } from '../../src/demo/vendors/mobivisor/server.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { vendorConnector } from '../../src/integration/api.ts';
import type { Platform, PreparedPush, Push, PushConfiguration, PushTarget, VendorCommand } from '../../src/integration/provider.ts';
import { BUILT_IN } from '../../src/integration/registry.ts';
import type { Json } from '../../src/wire/text/json.ts';

const signal = new AbortController().signal;
const opened: MobivisorServer[] = [];
afterEach(async () => {
  for (const server of opened.splice(0)) await server.close();
});

type Sides = NonNullable<Parameters<typeof startMobivisor>[0]>['sides'];

async function open(sides: Sides = {}, settings: Record<string, Json> = {}) {
  const server = await startMobivisor({ sides });
  opened.push(server);
  return { server, platform: platformOf(server, settings) };
}

function platformOf(server: MobivisorServer, settings: Record<string, Json> = {}): Required<Omit<Platform, 'create' | 'hook' | 'close'>> {
  return BUILT_IN.of('mobivisor').open({
    settings: { ...server.settings, ...settings },
    credentials: server.credentials,
    connect: vendorConnector({ guard: addressGuard({ allowPrivate: true }), isolate: (work) => work() }),
  }) as Required<Omit<Platform, 'create' | 'hook' | 'close'>>;
}

const targetOf = (externalId: string): PushTarget => ({ organizationId: 'o', deviceId: 'd', externalId });
const sent = (server: MobivisorServer, method: string, path: RegExp) =>
  server.requests.filter((request) => request.method === method && path.test(request.path));

describe('the walk of all devices', () => {
  async function walk(platform: Pick<Required<Platform>, 'list'>): Promise<string[]> {
    const ids: string[] = [];
    for (let cursor: string | null = null, pages = 0; ; pages += 1) {
      expect(pages).toBeLessThan(20);
      const page = await platform.list(cursor, signal);
      ids.push(...page.devices.map(({ externalId }) => externalId));
      if (page.next === null) return ids;
      cursor = page.next;
    }
  }

  test.each([
    { paging: 'honoured', devices: 250, requests: 4 },
    { paging: 'honoured', devices: 200, requests: 3 },
    { paging: 'honoured', devices: 0, requests: 1 },
    // More than a page can only be all of them; fewer may be a page, so that one more is asked for.
    { paging: 'ignored', devices: 250, requests: 1 },
    { paging: 'ignored', devices: 60, requests: 2 },
  ] as const)(
    '$devices devices of a platform with paging $paging come once each, in $requests requests',
    async ({ paging, devices, requests }) => {
      for (const [list, idKey] of [
        ['bare', 'id'],
        ['wrapped', '_id'],
      ] as const) {
        const { server, platform } = await open({ paging, list, idKey });
        const ids = Array.from({ length: devices }, (_, n) => server.addDevice({ name: `tablet ${n}` }));
        expect(await walk(platform)).toEqual(ids);
        expect(server.requests).toHaveLength(requests);
        expect(server.requests[0]?.query.get('per_page')).toBe('100');
      }
    },
  );

  test('a platform that caps the page is walked to its end', async () => {
    const { server, platform } = await open();
    const ids = Array.from({ length: 7 }, (_, n) => server.addDevice({ name: `tablet ${n}` }));
    const capped = (page: number) => ({ status: 200, body: ids.slice(page * 3, page * 3 + 3).map((_id) => ({ _id, name: 'capped' })) });
    for (let page = 0; page < 4; page += 1) server.faults.push({ path: /^\/devices$/, do: { is: 'answer', response: capped(page) } });
    expect(await walk(platform)).toEqual(ids);
  });

  test('a cursor of another version is refused with advice', async () => {
    const { platform } = await open();
    await expect(platform.list('7', signal)).rejects.toMatchObject({
      code: 'integration_protocol',
      message: expect.stringContaining('anew'),
    });
  });
});

test('a device is read with the fields that the platform shows, and no others', async () => {
  const { server, platform } = await open();
  const id = server.addDevice({
    name: 'till 7',
    values: { imei: '490154203237518', model: 'TC52', password: 'hunter22', location: '1,2' },
  });
  const device = await platform.read(id, signal);
  expect(device).toEqual({
    externalId: id,
    identities: [{ kind: 'hardware', value: 'imei:490154203237518' }],
    values: { name: 'till 7', status: 'Online', imei: '490154203237518', model: 'TC52' },
    connectivity: 'online',
    lastSeenAt: null,
    details: { environment: 'Android Enterprise' },
    updatedAt: null,
  });
  server.change(id, { status: 'Quarantined?' });
  expect((await platform.read(id, signal))?.connectivity).toBe('unknown');
  server.removeDevice(id);
  expect(await platform.read(id, signal)).toBeUndefined();
});

test.each(['json', 'string', 'text', 'empty'] as const)(
  'an update writes its fields alone, when writes are answered with %s',
  async (answers) => {
    const { server, platform } = await open({ answers });
    const id = server.addDevice({ name: 'till 7' });
    expect((await platform.update(id, { description: 'near the door' }, signal)).values.description).toBe('near the door');
    expect(sent(server, 'PUT', /./).map(({ path, body }) => [path, body])).toEqual([
      [`/devices/${id}/description`, { description: 'near the door' }],
    ]);
    await expect(platform.update(id, { description: '' }, signal)).rejects.toMatchObject({ code: 'integration_rejected' });
    await expect(platform.update(id, { name: 'x' }, signal)).rejects.toMatchObject({ code: 'integration_unsupported' });
    expect(sent(server, 'PUT', /./)).toHaveLength(1);
    await platform.delete(id, signal);
    await platform.delete(id, signal);
    expect(server.shown(id)).toBeUndefined();
  },
);

test.each(['json', 'text'] as const)(
  'an expired token is one request and one clear error, without the token (errors as %s)',
  async (errors) => {
    const { server, platform } = await open({ errors });
    server.expireToken();
    const error = await platform.list(null, signal).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code: 'integration_unauthorized', retry: 'never', message: expect.stringContaining('new credentials') });
    expect(String(error)).not.toContain(server.credentials.token);
    expect(server.requests).toHaveLength(1);
  },
);

describe('commands', () => {
  const command = (type: string, payload: Record<string, Json> = {}): VendorCommand => ({
    id: 'c',
    type,
    payload,
    expiresAt: new Date(Date.now() + 60_000),
  });

  test('a command is found again by its id and its old type, and unknown statuses stay under way with their text', async () => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    server.behave(target.externalId, { offline: true });
    const outcome = await platform.execute(target, command('pref_update', { userSwitched: true }), signal);
    if (outcome.state !== 'sent') throw new Error(outcome.state);
    expect(outcome).toMatchObject({ reference: `pref_update:${server.account.commands[0]?._id}`, result: { status: 'Not Sent' } });
    // A member that is not used is left out, and the device is named twice.
    expect(sent(server, 'PUT', /actions$/)[0]?.body).toEqual({
      deviceId: target.externalId,
      commandType: 'pref_update',
      commandData: { userSwitched: true },
    });
    const record = server.account.commands[0];
    if (record === undefined) throw new Error('no record');
    record.status = 'Waiting For Wifi';
    const later = { state: 'sent', reference: outcome.reference, result: { status: 'Waiting For Wifi', data: { userSwitched: true } } };
    expect(await platform.outcome(target, outcome.reference, signal)).toEqual(later);
    record.status = 'Done';
    expect(await platform.outcome(target, outcome.reference, signal)).toMatchObject({ state: 'completed', result: { status: 'Done' } });
    // Without texts that an operator has set, nothing counts as done.
    const lone = platformOf(server, { completedStatuses: [], failedStatuses: [] });
    expect(await lone.outcome(target, outcome.reference, signal)).toMatchObject({ state: 'sent', result: { status: 'Done' } });
    record.status = 'Failed';
    expect((await platform.outcome(target, outcome.reference, signal)).state).toBe('failed');
  });

  test.each(['string', 'text', 'empty'] as const)('a command that is answered with %s is found in the history', async (answers) => {
    const { server, platform } = await open({ answers });
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const outcome = await platform.execute(target, command('status_request'), signal);
    expect(outcome).toMatchObject({ state: 'sent', reference: `status_request:${server.account.commands[0]?._id}` });
  });

  test('a lost answer sends no second command', async () => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    server.faults.push({ path: /actions$/, do: { is: 'lost_answer' } });
    const outcome = await platform.execute(target, command('refresh_kiosk'), signal);
    expect(outcome).toMatchObject({ state: 'sent', reference: `refresh_kiosk:${server.account.commands[0]?._id}` });
    expect(server.account.commands).toHaveLength(1);
    server.faults.push({ path: /actions$/, do: { is: 'drop' } });
    await expect(platform.execute(target, command('fetch_system_apps'), signal)).rejects.toMatchObject({ code: 'integration_unreachable' });
    expect(server.account.commands).toHaveLength(1);
  });

  test('a request that did not arrive is no success because of an equal command before it', async () => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    await platform.execute(target, command('refresh_kiosk'), signal);
    server.faults.push({ path: /actions$/, do: { is: 'drop' } });
    await expect(platform.execute(target, command('refresh_kiosk'), signal)).rejects.toMatchObject({ code: 'integration_unreachable' });
    expect(server.account.commands).toHaveLength(1);
  });

  test('a command that was taken is no failure when the history does not answer', async () => {
    const { server, platform } = await open({ answers: 'empty' });
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const refused = { is: 'answer', response: { status: 400, body: 'no' } } as const;
    server.faults.push({ path: /actions$/, do: { is: 'run', what: () => server.faults.push({ path: /devicescommands/, do: refused }) } });
    expect(await platform.execute(target, command('refresh_kiosk'), signal)).toMatchObject({ state: 'sent', reference: 'refresh_kiosk:' });
    expect(await platform.outcome(target, 'refresh_kiosk:', signal)).toMatchObject({ state: 'sent' });
  });

  test('a password is required, sent, and in no error and no result', async () => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    await expect(platform.execute(target, command('change_password_now'), signal)).rejects.toMatchObject({
      code: 'integration_rejected',
      message: expect.stringContaining('payload/password'),
    });
    expect(server.requests).toHaveLength(0);
    const refused = { status: 422, body: { message: 'the text "correct horse" is too short' } };
    server.faults.push({ path: /actions$/, do: { is: 'answer', response: refused } });
    const error = await platform.execute(target, command('change_password_now', { password: 'correct horse' }), signal).catch(String);
    expect(error).toContain('too short');
    expect(error).not.toContain('correct horse');
    const outcome = await platform.execute(target, command('change_password_now', { password: 'correct horse' }), signal);
    if (outcome.state !== 'sent') throw new Error(outcome.state);
    expect(server.account.commands[0]?.commandData).toBe('{"password":"correct horse"}');
    expect(JSON.stringify([outcome, await platform.outcome(target, outcome.reference, signal)])).not.toContain('correct horse');
  });

  test('an error shows no secret that the platform quotes', async () => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const quoted = { message: 'locked', user: { email: 'a@example.com', password: 'correct horse' } };
    for (const body of [quoted, 'password=correct-horse is wrong']) {
      server.faults.push({ path: /actions$/, do: { is: 'answer', response: { status: 400, body } } });
      const error = await platform.execute(target, command('status_request'), signal).catch(String);
      expect(error).toContain('answered 400');
      expect(error).not.toMatch(/correct.horse/);
    }
  });

  test.each([
    ['reboot', {}, 'integration_unsupported', 'status_request'],
    ['update_settings', {}, 'integration_rejected', 'sendApps'],
    ['status_request', { deviceId: 'x' }, 'integration_rejected', 'deviceId'],
  ])('command "%s" with %j is refused before it is sent', async (type, payload, code, part) => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    await expect(platform.execute(target, command(type, payload), signal)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(part),
    });
    expect(server.requests).toHaveLength(0);
  });
});

describe('configuration', () => {
  const configuration = (document: Json | undefined): PushConfiguration => ({
    digest: 'sha256:0',
    document,
    files: [],
    readFile: async () => new Uint8Array(),
  });

  async function deliver(push: Push, target: PushTarget, document: Json) {
    const prepared = stored(await push.prepare(target, configuration(document), signal));
    const receipt = stored(await push.apply(target, prepared, 'token', signal));
    return { prepared, receipt, verdict: await push.verify(target, prepared, receipt, 'token', signal) };
  }

  /** Between two steps everything is JSON. */
  const stored = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

  const DOCUMENT = {
    featureControls: [
      { feature: 'screen_brightness', value: 80 },
      { feature: 'camera', value: false },
    ],
    extraVariables: { store: '17', till: '7' },
  };

  test('complete lists are sent in one order, and the device shows them', async () => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const { prepared, verdict } = await deliver(platform.push, target, DOCUMENT);
    expect(verdict).toEqual({ is: 'verified' });
    expect(prepared.isUnchanged).toBe(false);
    expect(sent(server, 'PUT', /./).map(({ body }) => body)).toEqual([
      [
        { feature: 'camera', booleanValue: false },
        { feature: 'screen_brightness', numberValue: 80 },
      ],
      { extraVariables: { store: '17', till: '7' } },
    ]);
    expect((await platform.push.prepare(target, configuration(DOCUMENT), signal)).isUnchanged).toBe(true);
  });

  test('where the platform shows nothing, the state is unverified, with the reason, and can only be replaced', async () => {
    const { server, platform } = await open({ showsConfiguration: false });
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const { prepared, receipt, verdict } = await deliver(platform.push, target, DOCUMENT);
    expect(verdict).toEqual({ is: 'unverified', reason: expect.stringContaining('took the feature controls and shows neither') });
    expect(prepared).toMatchObject({ previous: null, isUnchanged: false });
    await expect(platform.push.cancel(target, prepared, receipt, signal)).rejects.toMatchObject({
      code: 'integration_unsupported',
      message: expect.stringContaining('feature control "camera"'),
    });
  });

  test('a command that the platform makes of a write is proof only when its status is known to mean done', async () => {
    const { server, platform } = await open({ showsConfiguration: false });
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const answer = {
      _id: 'a'.repeat(24),
      user: target.externalId,
      commandType: 'Feature Controls',
      commandTypeOldFormat: 'feature_controls',
    };
    server.faults.push({ path: /featureControls$/, do: { is: 'answer', response: { status: 200, body: answer } } });
    const record = { ...answer, status: 'Waiting', commandData: '{}', timeCreated: new Date().toISOString() };
    server.account.commands.push(record);
    const document = { featureControls: [{ feature: 'camera', value: true }] };
    const { prepared, receipt, verdict } = await deliver(platform.push, target, document);
    expect(verdict).toEqual({ is: 'unverified', reason: 'command "feature_controls" has status "Waiting"' });
    const patient = platformOf(server, { proofSeconds: 600 });
    const verify = (one: Pick<Required<Platform>, 'push'>) => one.push.verify(target, prepared, receipt, 'token', signal);
    expect(await verify(patient)).toMatchObject({ is: 'pending' });
    record.status = 'Done';
    expect(await verify(patient)).toEqual({ is: 'verified' });
    record.status = 'Failed';
    expect(await verify(patient)).toMatchObject({ is: 'refused' });
  });

  test('a value that the device does not take stays pending, and is put back', async () => {
    const { server, platform } = await open({ variables: 'replace' });
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    await deliver(platform.push, target, { featureControls: [{ feature: 'camera', value: true }], extraVariables: { till: '6' } });
    server.behave(target.externalId, { refuses: ['camera'] });
    const { prepared, receipt, verdict } = await deliver(platform.push, target, {
      featureControls: [{ feature: 'camera', value: false }],
      extraVariables: { till: '7', lane: 'b' },
    });
    expect(verdict).toMatchObject({ is: 'pending', reason: expect.stringContaining('camera') });
    server.behave(target.externalId, {});
    await platform.push.cancel(target, prepared, receipt, signal);
    expect(server.device(target.externalId).runs).toEqual({
      featureControls: [{ feature: 'camera', booleanValue: true }],
      extraVariables: { till: '6' },
    });
    await platform.push.cancel(target, prepared, null, signal);
  });

  test('what cannot be removed is named when a change is put back', async () => {
    const { server, platform } = await open({ variables: 'merge' });
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const group = server.addGroup('tills');
    const { prepared, receipt } = await deliver(platform.push, target, {
      extraVariables: { lane: 'b' },
      groupApplications: [{ group, apps: ['b'.repeat(24)] }],
    });
    const error = await platform.push.cancel(target, prepared, receipt, signal).catch(String);
    expect(error).toContain('variable "lane"');
    expect(error).toContain(`of group "${group}"`);
  });

  test.each(['merge', 'replace'] as const)('variables of others stay on a platform that would %s', async (variables) => {
    const { server, platform } = await open({ variables });
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const device = server.device(target.externalId);
    for (const one of [device.wanted, device.runs]) one.extraVariables = { theirs: 'x' };
    await deliver(platform.push, target, { extraVariables: { ours: 'y' } });
    expect(device.runs.extraVariables).toEqual({ ours: 'y', theirs: 'x' });
  });

  test('apps of a group are proven by the packages on the device', async () => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const app = server.addApp({ name: 'Point of Sale', package: 'com.example.pos' });
    const missing = server.addApp({ name: 'Scanner', package: 'com.example.scanner' });
    const group = server.addGroup('tills');
    expect((await deliver(platform.push, target, { groupApplications: [{ group, apps: [app] }] })).verdict).toEqual({ is: 'verified' });
    expect(sent(server, 'PUT', /applications$/)[0]?.body).toEqual({ appIds: [app], appConfigs: [] });
    const { verdict } = await deliver(platform.push, target, { groupApplications: [{ group, apps: [app, missing] }] });
    expect(verdict).toEqual({ is: 'unverified', reason: expect.stringContaining('com.example.scanner') });
  });

  describe.each(['bare', 'wrapped'] as const)('managed configuration of an app object that stands %s', (form) => {
    test('is changed in the whole object of the present version, and put back', async () => {
      const { server, platform } = await open({ app: form });
      const target = targetOf(server.addDevice({ name: 'till 7' }));
      const theirs = { key: 'theme', value: 'dark', type: 'choice' };
      const app = server.addApp({
        name: 'PoS',
        package: 'com.example.pos',
        managedConfig: [theirs, { key: 'url', value: 'a', type: 'string' }],
      });
      const before = server.account.apps.get(app);
      const { prepared, receipt, verdict } = await deliver(platform.push, target, {
        managedConfig: [{ app, values: { url: 'b', lanes: 3 } }],
      });
      expect(server.account.apps.get(app)).toEqual({
        ...before,
        managedConfig: [theirs, { key: 'url', value: 'b', type: 'string' }, { key: 'lanes', value: 3 }],
        __v: 4,
      });
      expect(verdict).toEqual({ is: 'unverified', reason: expect.stringContaining('no call shows whether a device took it') });
      await platform.push.apply(target, prepared, 'token', signal);
      expect(sent(server, 'PUT', /mobileapps/)).toHaveLength(1);
      await platform.push.cancel(target, prepared, receipt, signal);
      expect(server.account.apps.get(app)).toEqual({ ...before, __v: 5 });
    });
  });

  test('an edit of somebody else in between is kept, and the write is repeated on it', async () => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const app = server.addApp({ name: 'PoS', package: 'com.example.pos' });
    const edit = () => {
      const known = server.account.apps.get(app) ?? {};
      server.account.apps.set(app, {
        ...known,
        description: 'edited',
        managedConfig: [{ key: 'theme', value: 'dark' }],
        __v: Number(known.__v) + 1,
      });
    };
    server.faults.push({ method: 'PUT', path: /mobileapps/, do: { is: 'run', what: edit } });
    await deliver(platform.push, target, { managedConfig: [{ app, values: { lanes: 3 } }] });
    expect(server.account.apps.get(app)).toMatchObject({
      description: 'edited',
      managedConfig: [
        { key: 'theme', value: 'dark' },
        { key: 'lanes', value: 3 },
      ],
    });
  });

  test('an app that cannot be read is not written', async () => {
    const { server, platform } = await open({ readsApps: false });
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const app = server.addApp({ name: 'PoS', package: 'com.example.pos' });
    const wanted = configuration({ managedConfig: [{ app, values: { lanes: 3 } }] });
    await expect(platform.push.prepare(target, wanted, signal)).rejects.toMatchObject({ code: 'integration_not_found', retry: 'never' });
    expect(sent(server, 'PUT', /./)).toEqual([]);
  });

  test('the example of the page is a document', async () => {
    const page = await readFile(new URL('../../docs/mobivisor.md', import.meta.url), 'utf8');
    const example = /^```yaml\n(.*?)^```/ms.exec(page)?.[1] ?? '';
    expect(BUILT_IN.of('mobivisor').document?.schema.parse(parse(example))).toMatchObject({ managedConfig: [{ values: { theme: null } }] });
  });

  test.each<[Json | undefined, string]>([
    [undefined, 'no mobivisor.yaml'],
    [{ featureControls: [{ feature: 'camera', value: 'off' }] }, '/featureControls/0/value'],
    [
      {
        featureControls: [
          { feature: 'a', value: 1 },
          { feature: 'a', value: 2 },
        ],
      },
      '/featureControls/1/feature must be named once',
    ],
    [{ extraVariables: { port: 8080 } }, 'quotes'],
    [{ managedConfig: [{ app: 'pos', values: {} }] }, '24 hex digits'],
    [{ policies: [] }, 'policies'],
  ])('the document %j is refused before anything is asked', async (document, part) => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    await expect(platform.push.prepare(target, configuration(document), signal)).rejects.toMatchObject({
      code: 'integration_rejected',
      retry: 'never',
      message: expect.stringContaining(part),
    });
    expect(server.requests).toEqual([]);
  });

  test('a step that was cut off is done again without another effect', async () => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const prepared: PreparedPush = stored(await platform.push.prepare(target, configuration(DOCUMENT), signal));
    server.faults.push({ path: /extraVariables$/, do: { is: 'answer', response: { status: 400, body: 'no' } } });
    await expect(platform.push.apply(target, prepared, 'token', signal)).rejects.toMatchObject({ code: 'integration_rejected' });
    const receipt = stored(await platform.push.apply(target, prepared, 'token', signal));
    expect(await platform.push.verify(target, prepared, receipt, 'token', signal)).toEqual({ is: 'verified' });
  });
});

describe('views', () => {
  test('show typed data, and none of the secrets that the answers carry', async () => {
    const { server, platform } = await open();
    const id = server.addDevice({
      name: 'till 7',
      values: { model: 'TC52', osVersion: '14', kioskMode: true, kioskExitPassword: 'letmeout', kioskLocation: { lat: 1, lng: 2 } },
    });
    const target = targetOf(id);
    const command = (type: string, payload: Record<string, Json> = {}) => ({ id: 'c', type, payload, expiresAt: new Date() });
    for (const [type, payload] of [
      ['change_password_now', { password: 'correct horse' }],
      ['location_request', {}],
      ['password_token_request', {}],
      ['refresh_kiosk', {}],
    ] as const)
      await platform.execute(target, command(type, payload), signal);
    for (const record of server.account.commands) Object.assign(record, { result: { token: 't0ps3cret', lat: 52.5, lng: 13.4 } });
    const show = (name: string, query = {}) => platform.view(name, target, query, signal);
    const views = {
      policies: await show('policies'),
      installed: await show('installed-apps'),
      system: await show('system-apps'),
      kiosk: await show('kiosk'),
      commands: await show('commands', { per_page: '3' }),
    };
    expect(views).toMatchObject({
      policies: { policies: [{ name: 'Baseline', enabled: true }] },
      installed: { apps: [{ package: 'com.android.settings', isSystemApp: true }, { package: 'com.example.pos' }] },
      system: { model: 'TC52', version: '14', apps: [{ package: 'com.android.settings' }] },
      kiosk: { settings: { kioskMode: true, kioskExitPassword: '[redacted]' }, refreshes: [{ type: 'refresh_kiosk', data: {} }] },
      commands: { page: 0, perPage: 3, commands: [{ type: 'refresh_kiosk', status: 'Done' }, {}, {}] },
    });
    const texts = JSON.stringify([views, await show('commands')]);
    for (const secret of ['letmeout', 'correct horse', 't0ps3cret', '52.5', '13.4', '"lat":1']) expect(texts).not.toContain(secret);
  });

  test('without a model, the installed packages show the system apps', async () => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    expect(await platform.view('system-apps', target, {}, signal)).toMatchObject({
      model: null,
      apps: [{ package: 'com.android.settings' }],
    });
    await expect(platform.view('mdmProfileUrl', target, {}, signal)).rejects.toMatchObject({ code: 'integration_unsupported' });
    await expect(platform.view('commands', target, { page: '-1' }, signal)).rejects.toMatchObject({ code: 'integration_rejected' });
  });
});

test('the connection test shows the host and some devices', async () => {
  const { server, platform } = await open();
  for (let n = 0; n < 8; n += 1) server.addDevice({ name: `tablet ${n}` });
  const tested = await platform.test(signal);
  expect(tested).toMatchObject({ account: '127.0.0.1', devices: null });
  expect(tested.sample).toHaveLength(5);
  expect(server.requests).toHaveLength(1);
});
