import { describe, expect, test } from 'vitest';
import type { Platform, VendorCommand } from '../../src/integration/provider.ts';
import type { Json } from '../../src/wire/text/json.ts';
import { open, platformOf, sent, signal, targetOf } from './mobivisor-scene.ts';

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

  test.each([undefined, 'null', '{}', '<html></html>'])('the answer %j is no empty list, so that it archives no device', async (body) => {
    const { server, platform } = await open();
    server.faults.push({ path: /^\/devices$/, do: { is: 'answer', response: { status: 200, body } } });
    await expect(platform.list(null, signal)).rejects.toMatchObject({ code: 'integration_protocol' });
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

test('a number that lost digits is no id', async () => {
  const { server, platform } = await open();
  const body = '[{"_id":9007199254740993,"name":"a"},{"_id":9007199254740992,"name":"b"},{"_id":7,"name":"c"}]';
  server.faults.push({ path: /^\/devices$/, do: { is: 'answer', response: { status: 200, body } } });
  expect((await platform.list(null, signal)).devices.map(({ externalId }) => externalId)).toEqual(['7']);
});

test('an empty answer is no device that has lost its values', async () => {
  const { server, platform } = await open();
  const id = server.addDevice({ name: 'till 7' });
  server.faults.push({ path: /^\/devices\/./, do: { is: 'answer', response: { status: 200 } } });
  await expect(platform.read(id, signal)).rejects.toMatchObject({ code: 'integration_protocol' });
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
  expect(tested.gaps).toEqual([]);
  expect(server.requests).toHaveLength(2);
});

test('the connection test shows the texts of status that the settings give no meaning', async () => {
  const { server, platform } = await open({}, { completedStatuses: [] });
  const [away, here] = [server.addDevice({ name: 'away', online: false }), server.addDevice({ name: 'here' })];
  for (const id of [away, here, here])
    await platform.execute(targetOf(id), { id: 'c', type: 'refresh_kiosk', payload: {}, expiresAt: new Date() }, signal);
  expect((await platform.test(signal)).gaps).toEqual([
    'completedStatuses: lists no text, so that no command counts as completed',
    'completedStatuses, failedStatuses: the command history shows "Done", which neither lists',
  ]);
  server.faults.push({ path: /devicescommands/, do: { is: 'answer', response: { status: 403 } } });
  expect((await platform.test(signal)).account).toBe('127.0.0.1');
});
