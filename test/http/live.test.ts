import { io } from 'socket.io-client';
import { describe, expect, test } from 'vitest';
import { mintToken } from '../../src/crypto/tokens.ts';
import { newId } from '../../src/ids.ts';
import { revokeToken } from '../../src/organization/store.ts';
import type { Closing, DeviceUpdate, LiveEvent } from '../../src/wire/live.ts';
import {
  address,
  append,
  collect,
  connected,
  database,
  live,
  next,
  open,
  pauseReading,
  request,
  restart,
  status,
  subscribe,
  tenant,
  track,
  until,
  useLive,
} from './live-support.ts';

useLive();

describe('handshake', () => {
  test('a connection without a token, or with an invalid one, is refused as unauthorized', async () => {
    for (const auth of [{}, { token: '' }, { token: 'bwt_wrong' }, { token: 7 }, { token: mintToken('token') }]) {
      const client = open(auth);
      const error = await next<Error>(client, 'connect_error');
      expect(error.message).toBe('unauthorized');
    }
    expect(live.connections()).toBe(0);
  });

  test('the default namespace admits no connection', async () => {
    const client = track(io(address(), { transports: ['websocket'], reconnection: false, auth: { token: (await tenant()).token } }));
    const error = await next<Error>(client, 'connect_error');
    expect(error.message).toContain('/live');
  });

  test('a connection ends when its token is revoked', async () => {
    await restart({ limits: { reauthenticateMs: 20 } });
    const one = await tenant();
    const client = await connected(one);
    const closing = next<Closing>(client, 'closing');
    const ended = next<string>(client, 'disconnect');
    await revokeToken(database.sql, one.id, one.tokenId);
    expect((await closing).code).toBe('unauthorized');
    expect(await ended).toBe('io server disconnect');
  });
});

describe('subscribe', () => {
  test('invalid input gets a code and a detail, and the connection stays open', async () => {
    const client = await connected(await tenant());
    const tooMany = Array.from({ length: 201 }, (_, i) => `device:d${i}`);
    for (const input of [
      null,
      'devices',
      {},
      { topics: [] },
      { topics: ['device:../x'] },
      { topics: ['nonsense'] },
      { topics: tooMany },
      { topics: ['events'], after: -1 },
      { topics: ['events'], extra: 1 },
    ]) {
      const answer = await request(client, 'subscribe', input);
      expect(answer, JSON.stringify(input)).toMatchObject({
        ok: false,
        code: 'invalid_request',
        detail: expect.stringContaining('Cannot accept'),
      });
    }
    expect(await request(client, 'unsubscribe', { topics: 7 })).toMatchObject({ ok: false, code: 'invalid_request' });
    client.emit('subscribe', { topics: ['events'] }, 'not a function');
    client.emit('subscribe');
    expect(await request(client, 'subscribe', { topics: ['events'] })).toMatchObject({ ok: true });
  });

  test('deeply nested input is refused and ends neither the connection nor the service', async () => {
    const client = await connected(await tenant());
    for (const name of ['subscribe', 'unsubscribe']) {
      const deep = JSON.parse(`${'['.repeat(65)}${']'.repeat(65)}`);
      expect(await request(client, name, { topics: { length: deep } })).toMatchObject({ ok: false, code: 'invalid_request' });
      // Sent without the client, which would run out of stack itself. Validation that ran out of stack would throw an uncaught error.
      client.io.engine.write(`2/live,["${name}",{"topics":{"length":${'['.repeat(40_000)}${']'.repeat(40_000)}}}]`);
    }
    expect(await request(client, 'subscribe', { topics: ['events'] })).toMatchObject({ ok: true });
  });

  test('a socket has at most 200 topics in all', async () => {
    const client = await connected(await tenant());
    const topics = Array.from({ length: 200 }, (_, i) => `device:d${i}`);
    expect(await subscribe(client, topics)).toMatchObject({ ok: true });
    expect(await subscribe(client, ['events'])).toMatchObject({ ok: false, code: 'too_many_topics' });
    expect(await request(client, 'unsubscribe', { topics: ['device:d0'] })).toEqual({ ok: true });
    expect(await subscribe(client, ['events'])).toMatchObject({ ok: true });
  });

  test('an event arrives once, in order, with all its fields, also if several topics of the socket match', async () => {
    const one = await tenant();
    const [rolloutId, deploymentId] = [newId(), newId()];
    const data = { deploymentId, rolloutId, state: 'applying', bundle: 'sha256:1' };
    const client = await connected(one);
    const events = collect<LiveEvent>(client, 'event');
    await subscribe(client, ['events', 'device:a', `rollout:${rolloutId}`]);
    await append(one, [
      { type: 'deployment.state', subject: 'device:a', data },
      { type: 'rollout.running', subject: `rollout:${rolloutId}` },
      { type: 'source.synced', subject: 'source:s' },
    ]);
    await until(() => events.length >= 3);
    expect(events.map((event) => event.type)).toEqual(['deployment.state', 'rollout.running', 'source.synced']);
    expect(events[0]).toEqual({
      cursor: expect.any(Number),
      type: 'deployment.state',
      at: expect.stringMatching(/^\d{4}-.*Z$/),
      organizationId: one.id,
      subject: 'device:a',
      data,
    });
  });

  test('a topic sends its own events only, and none after unsubscribe', async () => {
    const one = await tenant();
    const client = await connected(one);
    const witness = await connected(one);
    const [events, all] = [collect<LiveEvent>(client, 'event'), collect<LiveEvent>(witness, 'event')];
    await subscribe(client, ['device:a', 'rollout:r1']);
    await subscribe(witness, ['events']);
    await append(one, [
      { subject: 'device:b' },
      { subject: 'device:a' },
      { subject: 'rollout:r2', type: 'rollout.running' },
      { subject: 'rollout:r1', type: 'rollout.running' },
    ]);
    await until(() => events.length >= 2 && all.length >= 4);
    await request(client, 'unsubscribe', { topics: ['device:a'] });
    await append(one, [{ subject: 'device:a' }, { subject: 'rollout:r1', type: 'rollout.running' }]);
    await until(() => events.length >= 3 && all.length >= 6);
    expect(events.map((event) => event.subject)).toEqual(['device:a', 'rollout:r1', 'rollout:r1']);
  });

  test('no event of one organization reaches another, not even for a device of the same id', async () => {
    const [one, two] = [await tenant(), await tenant()];
    const [client, stranger] = [await connected(one), await connected(two)];
    const [seen, strange] = [collect<LiveEvent>(client, 'event'), collect<LiveEvent>(stranger, 'event')];
    const strangeUpdates = collect<DeviceUpdate>(stranger, 'device_update');
    for (const socket of [client, stranger]) await subscribe(socket, ['events', 'devices', 'device:a', 'rollout:r1']);
    await append(one, [status('a', 'UPDATING'), { subject: 'rollout:r1', type: 'rollout.running' }]);
    await until(() => seen.length === 2);
    await append(two, [{ type: 'source.synced', subject: 'source:mine' }]);
    await until(() => strange.length > 0);
    expect(strange.map((event) => [event.organizationId, event.subject])).toEqual([[two.id, 'source:mine']]);
    expect(strangeUpdates).toEqual([]);
    const late = await connected(two);
    const replayed = collect<LiveEvent>(late, 'event');
    expect(await subscribe(late, ['events'], 0)).toMatchObject({ ok: true, replayed: 1 });
    await until(() => replayed.length === 1);
    expect(replayed[0]?.organizationId).toBe(two.id);
  });
});

describe('limits', () => {
  test('a socket that does not read is disconnected, and the others continue', async () => {
    await restart({ limits: { checkIntervalMs: 20, maxWaitingBytes: 4_000_000 } });
    const one = await tenant();
    const [reader, idler] = [await connected(one), await connected(one)];
    const events = collect<LiveEvent>(reader, 'event');
    for (const client of [reader, idler]) await subscribe(client, ['events']);
    pauseReading(idler);
    const bulk = Array.from({ length: 100 }, () => ({ subject: 'device:a', data: { fields: ['x'.repeat(20_000)] } }));
    // The system's own buffers hold some megabytes before the service has to queue.
    for (let sent = 100; live.connections() === 2 && sent <= 4_000; sent += 100) {
      await append(one, bulk);
      await until(() => events.length === sent);
    }
    await until(() => live.connections() === 1);
    expect(reader.connected).toBe(true);
  });

  test('a message above 100 kB ends the connection that sent it', async () => {
    const client = await connected(await tenant());
    const ended = next<string>(client, 'disconnect');
    client.emit('subscribe', { topics: ['x'.repeat(150_000)] });
    await ended;
    await until(() => live.connections() === 0);
  });

  test('pages of the allowed origins may poll, others may not', async () => {
    await restart({ corsOrigins: ['https://fleet.example'] });
    const ask = async (origin: string): Promise<string | null> => {
      const response = await fetch(`${address()}/socket.io/?EIO=4&transport=polling`, { headers: { origin } });
      await response.text();
      return response.headers.get('access-control-allow-origin');
    };
    expect(await ask('https://fleet.example')).toBe('https://fleet.example');
    expect(await ask('https://evil.example')).not.toBe('https://evil.example');
  });
});
