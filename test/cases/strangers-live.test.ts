import { io } from 'socket.io-client';
import { expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { mintToken } from '../../src/crypto/tokens.ts';
import { createRateLimits } from '../../src/http/rate-limit.ts';
import { address, connected, live, next, request, restart, tenant, track, until, useLive } from '../http/live-support.ts';

useLive();

/** A connection that speaks Engine.IO itself, as an attacker's may. Resolves with all that came, once the other side has closed it. */
function speak(packets: readonly string[]): Promise<string[]> {
  return new Promise((resolve) => {
    const heard: string[] = [];
    const socket = new WebSocket(`${address().replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    socket.addEventListener('message', ({ data }) => {
      if (heard.length === 0) for (const packet of packets) socket.send(packet);
      heard.push(String(data));
    });
    socket.addEventListener('close', () => resolve(heard));
  });
}

test('a connection may show one token at a time, and ends when that is wrong', async () => {
  let asked = 0;
  await restart({
    authenticate: async () => {
      asked += 1;
      return undefined;
    },
  });
  const heard = await speak(Array.from({ length: 50 }, () => `40/live,${JSON.stringify({ token: mintToken('token') })}`));
  expect(asked).toBe(1);
  expect(heard.filter((packet) => packet.startsWith('44/live,')).length).toBeGreaterThan(0);
});

test('the namespace that admits nobody ends the connection as well', async () => {
  expect((await speak(['40'])).some((packet) => packet.startsWith('44'))).toBe(true);
});

test('connections that show no token are bounded, and do not keep valid ones out', async () => {
  const before = await connected(await tenant());
  for (let round = 0; round < 6; round += 1)
    await Promise.all(
      Array.from({ length: 50 }, async () => (await fetch(`${address()}/socket.io/?EIO=4&transport=polling`, { keepalive: false })).text()),
    );
  expect(live.handshakes()).toBe(200);
  const after = await connected(await tenant());
  for (const client of [before, after]) expect(await request(client, 'subscribe', { topics: ['events'] })).toMatchObject({ ok: true });
  expect(live.connections()).toBe(2);
});

test('wrong tokens of a sender are answered rate_limited beyond its failures, with the seconds to wait; a valid one passes', async () => {
  await restart({ rates: createRateLimits(readConfig({ RATE_LIMIT_REFUSED: '1' })) });
  const messages: string[] = [];
  let wait: unknown;
  for (let n = 0; n < 200 && wait === undefined; n += 1) {
    const options = { auth: { token: mintToken('token') }, transports: ['websocket'], reconnection: false, forceNew: true };
    const error = await next<Error & { data?: { retryAfterSeconds?: number } }>(track(io(`${address()}/live`, options)), 'connect_error');
    messages.push(error.message);
    wait = error.data?.retryAfterSeconds;
  }
  expect(messages.at(-1)).toBe('rate_limited');
  expect(wait).toBeGreaterThanOrEqual(1);
  await connected(await tenant());
  await until(() => live.connections() === 1);
});
