import { randomUUID } from 'node:crypto';
import { rename, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { io } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDevice } from '../agent/device.ts';
import { converge } from '../support/actors.ts';
import { openFleet } from '../support/fleet.ts';
import { openReverseProxy } from '../support/reverse-proxy.ts';
import { ADMIN_TOKEN, eventually } from '../support/service.ts';

const FILES = 'apiVersion: bellwether/v1\nkind: DeviceConfig\nfiles:\n  - from: app.json\n';
const fleetYaml = (devices: string) => `apiVersion: bellwether/v1\nkind: Fleet\ndevices: ${JSON.stringify(devices)}\n`;
const folder = (path: string, config: unknown) => ({ [`${path}/bellwether.yaml`]: FILES, [`${path}/app.json`]: JSON.stringify(config) });
const gone = (path: string) => ({ [`${path}/bellwether.yaml`]: null, [`${path}/app.json`]: null });

let fleet: Awaited<ReturnType<typeof openFleet>>;
beforeAll(async () => {
  fleet = await openFleet({ TRUST_PROXY: 'true' });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());

const get = async (id: string) => (await fleet.api('GET', `/devices/${id}`)).body;
async function register(id: string, settings: Record<string, unknown> = {}) {
  const { body } = await fleet.api('POST', '/devices', { id, ...settings });
  const key = { 'x-device-id': id, 'x-api-key': body.apiKey as string };
  const settle = () =>
    eventually(
      `${id} has converged`,
      async () => {
        await converge(fleet.service.url, key);
        const { desired, reported, syncStatus } = await get(id);
        return syncStatus === 'in_sync' && desired?.bundle === reported?.bundle;
      },
      30_000,
    );
  return { ...body, key, settle };
}

describe('a device whose clock is wrong by years', () => {
  test('its reports are taken, and what it says later counts', async () => {
    const { key } = await register('clock-1');
    const report = (at: string, cpu: number) =>
      fetch(`${fleet.service.url}/agent/v1/reports`, {
        method: 'POST',
        headers: { ...key, 'content-type': 'application/json' },
        body: JSON.stringify({
          reports: [
            { kind: 'telemetry', id: randomUUID(), at, metrics: { cpu } },
            { kind: 'log', id: randomUUID(), at, level: 'info', message: `at ${at}` },
            { kind: 'heartbeat', id: randomUUID(), at, runningDigest: null, sequence: 0, agentVersion: `v${cpu}` },
          ],
        }),
      });
    for (const [index, at] of ['0000-01-01T00:00:00Z', '1970-01-01T00:00:05Z', '2038-01-19T03:14:08Z', '9999-12-31T23:59:59Z'].entries())
      expect((await report(at, index)).status, at).toBeLessThan(300);
    expect((await report(new Date().toISOString(), 50)).status).toBeLessThan(300);
    const { items } = (await fleet.api('GET', '/devices/clock-1/telemetry?limit=10')).body;
    for (const { at } of items) expect(Date.parse(at)).toBeLessThan(Date.now() + 120_000);
    expect(items[0].metrics).toEqual({ cpu: 50 });
    const logs = (await fleet.api('GET', '/devices/clock-1/logs?limit=10')).body.items;
    expect(logs).toHaveLength(5);
    for (const { at } of logs) expect(Date.parse(at)).toBeLessThan(Date.now() + 120_000);
    expect((await get('clock-1')).agentVersion).toBe('v50');
  });
});

describe('an agent and its root', () => {
  test('goes on where its root is another path, behind a link, and relative', async () => {
    const source = await fleet.source('roots');
    await fleet.push(source, { 'app.json': '{"v":1}' });
    const { apiKey } = await register('root-1', { sourceId: source.id });
    await using device = await createDevice(fleet.service.url);
    const args = ['--device-id', 'root-1', '--api-key', apiKey];
    const has = (root: string, v: number) =>
      eventually(
        `v${v} in ${root}`,
        async () => (await get('root-1')).reported?.bundle !== undefined && (await device.current())?.['app.json'] === `644 {"v":${v}}`,
        30_000,
      );
    const first = device.start({}, args);
    await has(device.root, 1);
    await first.stop();
    const moved = join(dirname(device.root), `moved ${randomUUID()}`);
    await rename(device.root, moved);
    await symlink(moved, device.root);
    await fleet.push(source, { 'app.json': '{"v":2}' });
    const second = device.start({}, [], [], `${device.root}/`);
    await has(device.root, 2);
    await second.stop();
    await fleet.push(source, { 'app.json': '{"v":3}' });
    const third = device.start({}, [], [], join('..', '..', '..', '..', '..', moved));
    await has(device.root, 3);
    await third.stop();
  });

  test('of a device that was deleted and registered again takes what the new one is to run', async () => {
    const source = await fleet.source('again');
    await fleet.push(source, { 'app.json': '{"v":1}' });
    const old = await register('again-1', { sourceId: source.id });
    await using device = await createDevice(fleet.service.url);
    const first = device.start({}, ['--device-id', 'again-1', '--api-key', old.apiKey]);
    const runs = (v: number) => eventually(`runs ${v}`, async () => (await device.current())?.['app.json'] === `644 {"v":${v}}`, 30_000);
    await runs(1);
    await fleet.push(source, { 'app.json': '{"v":2}' });
    await runs(2);
    await fleet.api('DELETE', '/devices/again-1');
    await eventually(
      'the agent says what to do',
      async () => /answered 401.*does not know this key: start the agent with --device-id and --api-key/.test(first.log()),
      30_000,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${first.log().slice(-800)}`);
    });
    await first.stop();
    const made = await register('again-1', { sourceId: source.id });
    await fleet.push(source, { 'app.json': '{"v":3}' });
    const second = device.start({}, ['--device-id', 'again-1', '--api-key', made.apiKey]);
    await runs(3).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${second.log().slice(-800)}`);
    });
  });
});

describe('folders and sources', () => {
  test('a folder that is renamed in case only keeps its device', async () => {
    const source = await fleet.source('cases', { layout: 'fleet' });
    await fleet.push(source, {
      'fleet.yaml': fleetYaml('devices/*'),
      ...folder('devices/Till-7', { v: 1 }),
      ...folder('devices/other', { v: 1 }),
    });
    const device = await register('till-7', { sourceId: source.id, path: 'devices/Till-7' });
    await device.settle();
    const runs = (await get('till-7')).desired.bundle;
    await fleet.push(source, { ...gone('devices/Till-7'), ...folder('devices/till-7', { v: 2 }) });
    await eventually('it follows', async () => (await get('till-7')).path === 'devices/till-7', 20_000);
    await device.settle();
    expect((await get('till-7')).desired.bundle).not.toBe(runs);
  });

  test('a device that is given another name, then another source, then the old one', async () => {
    const [one, two] = [await fleet.source('one', { layout: 'fleet' }), await fleet.source('two', { layout: 'fleet' })];
    await fleet.push(one, { 'fleet.yaml': fleetYaml('devices/*'), ...folder('devices/mover', { v: 1 }) });
    await fleet.push(two, { 'fleet.yaml': fleetYaml('tills/*'), ...folder('tills/mover', { v: 2 }) });
    const device = await register('mover', { sourceId: one.id });
    await device.settle();
    const first = (await get('mover')).desired.bundle;
    expect((await fleet.api('PATCH', '/devices/mover', { name: 'Kasse 7' })).body).toMatchObject({
      name: 'Kasse 7',
      path: 'devices/mover',
    });
    expect((await fleet.api('PATCH', '/devices/mover', { sourceId: two.id })).body).toMatchObject({ path: 'tills/mover', following: true });
    await eventually('it is to run the second', async () => (await get('mover')).desired.bundle !== first, 30_000);
    await device.settle();
    expect((await fleet.api('PATCH', '/devices/mover', { sourceId: one.id })).body).toMatchObject({ path: 'devices/mover' });
    await eventually('it is to run the first', async () => (await get('mover')).desired.bundle === first, 30_000);
    await device.settle();
    expect((await fleet.api('GET', '/devices/mover/why')).body).toEqual([]);
  });
});

describe('live connections', () => {
  const connect = (origin: string, options: object) => {
    const socket = io(`${origin}/live`, { reconnection: false, forceNew: true, ...options });
    return new Promise<string>((resolve) => {
      socket.once('connect', () => resolve('connected'));
      socket.once('connect_error', (error) => resolve(error.message));
    }).finally(() => socket.disconnect());
  };
  const headers = { Authorization: `Bearer ${ADMIN_TOKEN}` };

  test('by polling alone behind a proxy that knows no WebSocket, with the header of the API', async () => {
    for (const strips of [true, false]) {
      await using proxy = await openReverseProxy({
        target: fleet.service.url,
        prefix: '/a/b',
        strips,
        headers: { 'X-Forwarded-Prefix': '/a/, /b/' },
      });
      expect(await connect(proxy.origin, { path: '/a/b/socket.io', transports: ['polling'], extraHeaders: headers })).toBe('connected');
    }
  });

  test.each([
    ['auth.token with the word Bearer before it', { auth: { token: `Bearer ${ADMIN_TOKEN}` } }, 'connected'],
    ['a token in the query, which the API does not take either', { query: { token: ADMIN_TOKEN } }, 'unauthorized'],
    ['two spaces in the header', { extraHeaders: { Authorization: `Bearer  ${ADMIN_TOKEN}` } }, 'connected'],
  ])('%s', async (_what, options, verdict) => {
    for (const transport of ['websocket', 'polling'])
      expect(await connect(fleet.service.url, { transports: [transport], ...options }), transport).toBe(verdict);
  });
});
