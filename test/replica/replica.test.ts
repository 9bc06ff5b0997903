import { randomUUID } from 'node:crypto';
import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { DeviceKey } from '../../src/simulate/device.ts';
import { runSimulation } from '../../src/simulate/run.ts';
import type { DeviceUpdate, LiveEvent, SubscribeAnswer } from '../../src/wire/live.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { postGitLabPush, SIGNING_TOKEN } from '../support/hooks.ts';
import { ADMIN_TOKEN, eventually } from '../support/service.ts';
import { type Cluster, type Instance, openCluster } from './cluster.ts';
import { openFront } from './front.ts';

/** Two that answer and two that work, started at once on an empty database; the tests run in their order, and the last ones end processes. */
let cluster: Cluster;
let host: TestGitHost;
let one: Instance;
let two: Instance;
let worker: Instance;
let otherWorker: Instance;
const sockets: Socket[] = [];

beforeAll(async () => {
  [cluster, host] = await Promise.all([openCluster(), openGitHost()]);
  [one, two, worker, otherWorker] = await Promise.all([
    cluster.start('api'),
    cluster.start('api'),
    cluster.start('controller'),
    cluster.start('controller'),
  ]);
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.disconnect();
});

afterAll(async () => {
  await cluster?.close();
  await host?.close();
});

/** A fleet's repository, its source and devices, registered by turns at `apis`. */
async function fleet(name: string, count: number, apis: readonly Instance[]) {
  const url = await host.createRepository(name);
  const { id } = (
    await one.api('POST', '/sources', {
      ...{ name, url, layout: 'fleet', pollIntervalSeconds: 86_400 },
      webhook: { provider: 'gitlab', secret: SIGNING_TOKEN },
    })
  ).body;
  const keys: DeviceKey[] = [];
  for (let n = 1; n <= count; n++) {
    const device = { id: `${name}-${n}`, sourceId: id, path: `devices/${name}-${n}` };
    keys.push({ id: device.id, apiKey: (await apis[n % apis.length]!.api('POST', '/devices', device)).body.apiKey });
  }
  const commit = (version: number) => {
    const files: Record<string, string> = { 'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\n' };
    for (const key of keys) files[`devices/${key.id}/app.json`] = JSON.stringify({ device: key.id, version });
    return host.commit(name, files);
  };
  const push = async (at: Instance, version: number) => {
    const answer = await postGitLabPush(`${at.url}/hooks/${id}`, { after: await commit(version) });
    expect(answer.status, await answer.text()).toBe(202);
  };
  return { id, keys, push };
}

/** Devices that run until `stop`; `ended` counts, by device, the attempts whose success the service has taken. */
function simulate(server: string, keys: readonly DeviceKey[]) {
  const stop = new AbortController();
  const succeeded = new Map<string, number>();
  const running = runSimulation({
    server,
    devices: keys,
    signal: stop.signal,
    onState: (event) => {
      if (event.kind === 'deployment' && event.state === 'succeeded')
        succeeded.set(event.deviceId, (succeeded.get(event.deviceId) ?? 0) + 1);
    },
  });
  return {
    /** Every device has told of so many successes, and the service has answered. */
    until: (what: string, times: number, timeoutMs?: number) =>
      eventually(what, async () => keys.every((key) => (succeeded.get(key.id) ?? 0) >= times), timeoutMs),
    stop: async () => {
      stop.abort();
      await running;
    },
  };
}

async function listen(at: Instance | string, topics: string[], after?: number) {
  const socket = io(`${typeof at === 'string' ? at : at.url}/live`, {
    ...{ auth: { token: ADMIN_TOKEN }, transports: ['websocket'], forceNew: true, reconnection: false },
  });
  sockets.push(socket);
  const events: LiveEvent[] = [];
  const updates: DeviceUpdate[] = [];
  socket.on('event', (event) => events.push(event));
  socket.on('device_update', (update) => updates.push(update));
  const connected = await new Promise<unknown>((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('connect_error', resolve);
  });
  expect(connected).toBe(true);
  const answer: SubscribeAnswer = await socket
    .timeout(10_000)
    .emitWithAck('subscribe', { topics, ...(after === undefined ? {} : { after }) });
  expect(answer).toMatchObject({ ok: true });
  return { socket, events, updates };
}

const waitingPolls = async () => (await one.metric('bellwether_waiting_polls')) + (await two.metric('bellwether_waiting_polls'));

test('what happens reaches dashboards at either API in the same order; one that comes back at the other API misses nothing', async () => {
  const [atOne, atTwo] = await Promise.all([listen(one, ['events', 'devices']), listen(two, ['events', 'devices'])]);
  await one.api('POST', '/devices', { id: 'seen-1' });
  await two.api('POST', '/devices', { id: 'seen-2' });
  const registered = ({ events }: typeof atOne) =>
    events.filter((event) => event.type === 'device.registered').map((event) => event.subject);
  for (const listener of [atOne, atTwo]) {
    await eventually('both events', async () => registered(listener).length === 2);
    await eventually('both updates', async () => new Set(listener.updates.map((update) => update.device_id)).size === 2);
  }
  expect(atOne.events.map((event) => event.cursor)).toEqual(atTwo.events.map((event) => event.cursor));

  const { cursor } = atOne.events.at(-1)!;
  atOne.socket.disconnect();
  await one.api('POST', '/devices', { id: 'seen-3' });
  const back = await listen(two, ['events'], cursor);
  await eventually('the missed event', async () => registered(back).includes('device:seen-3'));
});

test('a WebSocket goes through any load balancer; a polling session is its own process’s alone, and the other refuses it', async () => {
  const front = await openFront([one.url, two.url]);
  for (let n = 0; n < 4; n++) await listen(front.url, ['devices']);
  const seen = await Promise.all([one, two].map((instance) => instance.metric('bellwether_live_connections')));
  expect(seen.every((count) => count >= 2)).toBe(true);
  await front.close();

  const opened = await (await fetch(`${one.url}/socket.io/?EIO=4&transport=polling`)).text();
  const { sid } = JSON.parse(opened.slice(1));
  const elsewhere = await fetch(`${two.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`);
  expect(elsewhere.status).toBe(400);
  expect(await elsewhere.json()).toMatchObject({ message: 'Session ID unknown' });
});

test('a device that waits at one API is woken by what is done at the other', async () => {
  const { apiKey } = (await one.api('POST', '/devices', { id: 'waiting' })).body;
  const headers = { 'x-device-id': 'waiting', 'x-api-key': apiKey };
  const first = await fetch(`${one.url}/agent/v1/desired`, { headers });
  await first.text();
  const known = { ...headers, 'if-none-match': first.headers.get('etag')! };
  const waits = fetch(`${one.url}/agent/v1/desired?wait=55`, { headers: known });
  await eventually('the poll waits', async () => (await one.metric('bellwether_waiting_polls')) === 1);
  await two.api('POST', '/devices/waiting/commands', { type: 'ping' });
  const woken = await waits;
  expect([woken.status, woken.headers.get('etag') === known['if-none-match']]).toEqual([200, false]);

  // So is the end of its key.
  const held = fetch(`${one.url}/agent/v1/desired?wait=55`, { headers: { ...headers, 'if-none-match': woken.headers.get('etag')! } });
  await eventually('the poll waits', async () => (await one.metric('bellwether_waiting_polls')) === 1);
  expect((await two.api('DELETE', '/devices/waiting')).status).toBe(204);
  await eventually('the key ends', async () => (await fetch(`${one.url}/agent/v1/desired`, { headers })).status === 401);
  // Refused where it had not looked for the first time yet.
  expect([304, 401]).toContain((await held).status);
});

test('an Idempotency-Key that is repeated at the other API gets the first answer, key and all; with another request it is refused', async () => {
  const headers = { 'idempotency-key': randomUUID() };
  const first = await one.api('POST', '/devices', { id: 'once' }, headers);
  const again = await two.api('POST', '/devices', { id: 'once' }, headers);
  expect([first.status, again.status, again.headers.get('idempotent-replayed')]).toEqual([201, 201, 'true']);
  expect(again.body).toEqual(first.body);
  expect((await two.api('POST', '/devices', { id: 'other' }, headers)).body.code).toBe('idempotency_key_reused');
});

test('pushes by hooks at both APIs reach the devices of both; no attempt is made or told twice, no workspace is taken for tampered with', async () => {
  const { id, keys, push } = await fleet('shared', 12, [one, two]);
  const front = await openFront([one.url, two.url]);
  const devices = simulate(front.url, keys);
  await eventually('all wait', async () => (await waitingPolls()) === keys.length);
  for (const instance of [one, two]) expect(await instance.metric('bellwether_waiting_polls')).toBeGreaterThan(0);
  const completed = async () => {
    const rows = await cluster.database.sql<{ subject: string }[]>`
      select subject from events where type = 'rollout.completed' and data ->> 'sourceId' = ${id}`;
    return rows.map((row) => row.subject);
  };
  for (const [index, at] of [one, two, one, two].entries()) {
    await push(at, index + 1);
    await devices.until(`push ${index + 1}`, index + 1);
    // A push that comes before takes the rollout's place, and it never completes.
    await eventually(`rollout ${index + 1} completes`, async () => (await completed()).length > index);
  }
  const attempts = await cluster.database.sql<{ deviceId: string; states: string[] }[]>`
    select device_id as "deviceId", array_agg(state || ' ' || kind || ' ' || attempt order by id) as states from deployments
    where device_id = any(${keys.map((key) => key.id)}::text[]) group by device_id`;
  expect(attempts).toHaveLength(keys.length);
  for (const { states } of attempts) expect(states).toEqual(Array(4).fill('succeeded change 1'));
  const repeated = await cluster.database.sql`
    select subject, data ->> 'deploymentId', data ->> 'state', count(*) from events
    where type in ('deployment.queued', 'deployment.state') and subject like 'device:shared-%' group by 1, 2, 3 having count(*) > 1`;
  expect(repeated).toEqual([]);
  const rollouts = await completed();
  expect(new Set(rollouts).size).toBe(rollouts.length);
  await eventually('the workspaces follow', async () => {
    const [row] = await cluster.database.sql<{ behind: number }[]>`
      select count(*)::int as behind from devices where id like 'shared-%' and workspace_bundle is distinct from good_bundle`;
    return row?.behind === 0;
  });
  expect(await cluster.database.sql`select subject from events where type like 'workspace.%'`).toEqual([]);
  await devices.stop();
  await front.close();
});

test('kill -9 of an API: its devices go on at the other', async () => {
  const { keys, push } = await fleet('moving', 6, [one, two]);
  const front = await openFront([one.url, two.url]);
  const devices = simulate(front.url, keys);
  await push(one, 1);
  await devices.until('the first push', 1);
  await eventually('all wait', async () => (await waitingPolls()) === keys.length);
  expect(await two.metric('bellwether_waiting_polls')).toBeGreaterThan(0);
  await two.end('SIGKILL');
  await push(one, 2);
  await devices.until('the push after the kill', 2);
  await devices.stop();
  await front.close();
});

test('kill -9 of a controller in the middle of a job: another one takes the job over within 30 s', async () => {
  await otherWorker.end('SIGTERM');
  const { keys, push } = await fleet('abandoned', 1, [one]);
  const devices = simulate(one.url, keys);
  await push(one, 1);
  await devices.until('the first push', 1);
  // The fetch never ends: the job is the only controller's.
  host.fault('abandoned', { kind: 'hang', method: 'POST', command: 'fetch' });
  const fetches = () => host.requests.filter((request) => request.repository === 'abandoned' && request.method === 'POST').length;
  const before = fetches();
  await push(one, 2);
  await eventually('the fetch hangs', async () => fetches() >= before + 2);
  const [successor] = await Promise.all([cluster.start('controller'), worker.end('SIGKILL')]);
  host.clearFault('abandoned');
  await devices.until('the push whose controller died', 2, 30_000);
  await devices.stop();

  // Of the controllers the last one to leave says that nobody watches any more, and only that one.
  const last = await cluster.start('controller');
  const { updates } = await listen(one, ['devices']);
  const tellings = async () => (await cluster.database.sql`select 1 from events where type = 'service.not_watching'`).length;
  const told = await tellings();
  await successor.end('SIGTERM');
  expect(await tellings()).toBe(told);
  await last.end('SIGTERM');
  expect(await tellings()).toBeGreaterThan(told);
  await eventually('the device is shown as offline', async () => updates.at(-1)?.status === 'OFFLINE');
});
