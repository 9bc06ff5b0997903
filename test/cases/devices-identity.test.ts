import { cp } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { instanceOf } from '../../agent/disk/instance.ts';
import { type InstanceState, stateAfterRequest } from '../../src/device/instance.ts';
import { runSimulation } from '../../src/simulate/run.ts';
import { createDevice, type Device } from '../agent/device.ts';
import { folder, openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

const NEW: InstanceState = { instance: null, instanceSince: null, instanceReturns: 0, instanceReturnedAt: null, clonedSince: null };

/** What becomes of a device when agents speak: `<seconds>:<agent>`. */
function hear(words: string): InstanceState {
  const seen = new Set<string>();
  let state = NEW;
  for (const word of words.split(' ')) {
    const [seconds = '', agent = ''] = word.split(':');
    const next = stateAfterRequest(state, agent, seen.has(agent), new Date(Number(seconds) * 1000));
    if (next === null) continue;
    state = next;
    seen.add(agent);
  }
  return state;
}

describe('two agents with one key are told from one agent that starts again', () => {
  test.each<[what: string, words: string, cloned: boolean]>([
    ['an agent that goes on', '0:a 30:a 60:a', false],
    ['a restart, a restored backup, a new disk', '0:a 30:b 60:c 90:c 120:d', false],
    ['an agent that restarts every few seconds', '0:a 1:b 2:c 3:d 4:e 5:f', false],
    [
      'a late request of an agent that ended, at each of many restarts',
      '0:a 30:b 31:a 32:b 60:c 61:b 62:c 90:d 91:c 92:d 120:e 121:d',
      false,
    ],
    ['two agents in turn', '0:a 15:b 30:a 45:b 60:a', true],
    ['two agents that speak close together', '0:a 25:b 30:a 55:b 60:a 85:b 90:a 115:b 120:a', true],
    ['three agents in turn', '0:a 20:b 40:c 60:a 80:b 100:c', true],
    ['a copy that restarts all the time', '0:a 20:b 40:a 60:c 80:a 100:d 120:a', true],
    ['one return now and then, hours apart', '0:a 20:b 40:a 9000:b 18000:a 27000:b', false],
  ])('%s', (_what, words, cloned) => {
    expect(hear(words).clonedSince !== null).toBe(cloned);
  });

  test('an agent draws a new start each time, on the same machine and root', async () => {
    const [one, two, elsewhere] = [await instanceOf('/tmp'), await instanceOf('/tmp'), await instanceOf('/usr')];
    const machine = (instance: string) => instance.split('.')[0];
    expect(one).toMatch(/^[0-9a-f]{12}\.[0-9a-f]{12}$/);
    expect([machine(two) === machine(one), two === one, machine(elsewhere) === machine(one)]).toEqual([true, false, false]);
  });
});

let scene: Awaited<ReturnType<typeof openScene>>;
let source: { id: string; hookUrl: string };
beforeAll(async () => {
  scene = await openScene();
  source = await scene.source('till');
  await scene.push('till', source, folder({ vlan: 1 }));
});
afterAll(() => scene[Symbol.asyncDispose]());

const why = async (id: string): Promise<{ code: string; detail: string; unblockedBy: string }[]> =>
  (await scene.api('GET', `/devices/${id}/why`)).body;
const codes = async (id: string) => (await why(id)).map(({ code }) => code);
const events = async (id: string, type: string): Promise<{ data: Record<string, unknown> }[]> =>
  (await scene.api('GET', `/devices/${id}/events?limit=200`)).body.items.filter((event: { type: string }) => event.type === type);
const token = async (settings: Record<string, unknown> = {}): Promise<string> =>
  (await scene.api('POST', '/enrolment-tokens', { uses: 5, sourceId: source.id, ...settings })).body.token;
const HOOKS = ['reload', 'check-config'];

async function machine(): Promise<Device> {
  const device = await createDevice(scene.service.url);
  for (const hook of HOOKS) await device.hook(hook, 'exit 0');
  return device;
}

/** The minutes in which two agents take turns, passed at once. */
const letTimePass = (id: string) =>
  scene.service.database.sql`update devices set instance_since = instance_since - interval '1 minute' where id = ${id}`;

describe('a root that was copied', () => {
  test('shows on the device, in why and by one event, and no more once the copy has stopped', async () => {
    await using first = await machine();
    await using copy = await machine();
    const args = ['--enroll', await token(), '--device-id', 'copied', '--heartbeat', '1'];
    const original = first.start({}, args);
    await scene.converged('copied');
    await original.stop();
    await cp(first.root, copy.root, { recursive: true, verbatimSymlinks: true });
    first.start({}, args);
    await scene.converged('copied');
    expect((await scene.api('GET', '/devices/copied')).body.clonedSince).toBe(null);
    const second = copy.start({}, args);
    await eventually('it shows', async () => {
      await letTimePass('copied');
      return (await scene.api('GET', '/devices/copied')).body.clonedSince !== null;
    });
    const [blocker] = await why('copied');
    expect(blocker).toMatchObject({
      code: 'cloned',
      detail: expect.stringMatching(/machine [0-9a-f]{12} at 127\.0\.0\.1 and machine [0-9a-f]{12} at/),
    });
    expect(blocker?.unblockedBy).toContain('enrol it under an id of its own');
    expect(await events('copied', 'device.cloned')).toHaveLength(1);
    await second.stop();
    await eventually('it is over', async () => {
      // Where the copy spoke last, the original's next word is one more return.
      await scene.service.database.sql`update devices set instance_returned_at = now() - interval '2 hours' where id = 'copied'`;
      return (await events('copied', 'device.clone_ended')).length === 1;
    });
    expect(await codes('copied')).toEqual([]);
  });

  test('shows of simulated devices, too', async () => {
    const { apiKey } = (await scene.api('POST', '/devices', { id: 'sim', simulated: true })).body;
    const stop = new AbortController();
    const simulate = () =>
      runSimulation({ server: scene.service.url, devices: [{ id: 'sim', apiKey }], telemetrySeconds: 0.2, signal: stop.signal });
    const running = [simulate(), simulate()];
    await eventually('it shows', async () => {
      await letTimePass('sim');
      return (await codes('sim')).includes('cloned');
    });
    stop.abort();
    await Promise.all(running);
  });
});

describe('a device that was flashed again', () => {
  test('waits to be let in, which operators are told, and then gets a new key and its files; the old key ends', async () => {
    const enrolment = await token();
    await using before = await machine();
    const old = before.start({}, ['--enroll', enrolment, '--device-id', 'flashed']);
    await scene.converged('flashed');
    await old.stop();
    await using flashed = await machine();
    const agent = flashed.start({}, ['--enroll', enrolment, '--device-id', 'flashed']);
    await eventually('operators are told', async () => (await events('flashed', 'device.reenrolment_requested')).length === 1);
    expect(await why('flashed')).toMatchObject([
      { code: 'reenrolment_requested', unblockedBy: expect.stringContaining('devices reenrol flashed') },
    ]);
    expect((await scene.api('GET', '/devices/flashed/status')).body.converged).toBe(false);
    await eventually('the agent says what to do', async () => agent.log().includes('devices reenrol flashed'));
    expect(agent.child.exitCode).toBe(null);

    const viewer = (await scene.api('POST', '/tokens', { name: 'looks on', role: 'viewer' })).body.token;
    expect((await scene.service.apiAs(viewer)('POST', '/devices/flashed/reenrolment', {})).status).toBe(403);
    expect((await scene.api('POST', '/devices/flashed/reenrolment', {})).status).toBe(200);
    await eventually('it is let in', async () => (await events('flashed', 'device.reenrolled')).length === 1);
    await scene.converged('flashed');
    expect(await flashed.current()).toEqual(await before.current());
    expect(await events('flashed', 'device.reenrolment_requested')).toHaveLength(1);
    const actions = (await scene.api('GET', '/audit?subject=device:flashed')).body.items.map((entry: { action: string }) => entry.action);
    expect(actions).toEqual(expect.arrayContaining(['device.allow_reenrolment', 'device.reenrol']));
    const late = before.start({}, ['--enroll', enrolment, '--device-id', 'flashed']);
    await eventually('the old key is refused', async () => late.log().includes('401'));
  });

  test('is let in by a token that allows it, and by its own token though that is used up', async () => {
    const free = await token({ reenrol: true });
    const [one, two] = [await enrol(free, 'free'), await enrol(free, 'free')];
    expect([one.status, two.status]).toEqual([201, 201]);
    await seen('free', two.apiKey);
    const three = await enrol(free, 'free');
    expect([three.status, await speaks('free', three.apiKey)]).toEqual([201, 200]);
    // Processes hear of ended keys a moment after the commit.
    await eventually('the old key is refused', async () => (await speaks('free', two.apiKey)) === 401);
    expect(await events('free', 'device.reenrolled')).toMatchObject([{ data: { allowedBy: expect.stringContaining('enrolment token') } }]);

    const once = await token({ uses: 1 });
    await seen('once', (await enrol(once, 'once')).apiKey);
    expect((await enrol(once, 'once')).status).toBe(409);
    expect((await scene.api('POST', '/devices/once/reenrolment', {})).status).toBe(200);
    expect((await enrol(once, 'once')).status).toBe(201);
    expect((await enrol(once, 'another')).status).toBe(401);
  });

  test('is turned away where the operator says so, and another machine does not take its place', async () => {
    const enrolment = await token();
    await seen('guarded', (await enrol(enrolment, 'guarded')).apiKey);
    expect((await enrol(enrolment, 'guarded', 'aaaaaaaaaaaa.000000000001')).status).toBe(409);
    expect((await scene.api('POST', '/devices/guarded/reenrolment', {})).status).toBe(200);
    const other = await enrol(enrolment, 'guarded', 'bbbbbbbbbbbb.000000000001');
    expect([other.status, other.code, other.retryAfter]).toEqual([409, 'reenrolment_required', '15']);
    expect((await enrol(enrolment, 'guarded', 'aaaaaaaaaaaa.000000000002')).status).toBe(201);
    await enrol(enrolment, 'guarded', 'bbbbbbbbbbbb.000000000001');
    expect((await scene.api('DELETE', '/devices/guarded/reenrolment')).status).toBe(200);
    expect(await codes('guarded')).not.toContain('reenrolment_requested');
    expect((await scene.api('DELETE', '/devices/guarded/reenrolment')).status).toBe(409);
    expect((await scene.api('POST', '/devices/nobody/reenrolment', {})).status).toBe(404);
  });

  test('says nothing to who has no valid token, nor of devices of others', async () => {
    await seen('quiet', (await enrol(await token(), 'quiet')).apiKey);
    expect((await enrol('bwe_unknown', 'quiet')).status).toBe(401);
    expect(await events('quiet', 'device.reenrolment_requested')).toEqual([]);
  });
});

async function enrol(enrolment: string, deviceId: string, instance?: string) {
  const response = await fetch(`${scene.service.url}/agent/v1/enroll`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${enrolment}`,
      'content-type': 'application/json',
      ...(instance === undefined ? {} : { 'x-agent-instance': instance }),
    },
    body: JSON.stringify({ deviceId }),
  });
  const body = (await response.json()) as { apiKey?: string; code?: string };
  return { status: response.status, retryAfter: response.headers.get('retry-after'), apiKey: body.apiKey ?? '', code: body.code };
}

async function speaks(id: string, apiKey: string): Promise<number> {
  return (await fetch(`${scene.service.url}/agent/v1/desired?wait=0`, { headers: { 'x-device-id': id, 'x-api-key': apiKey } })).status;
}

/** The device has used its key. */
async function seen(id: string, apiKey: string): Promise<void> {
  expect(await speaks(id, apiKey)).toBe(200);
}
