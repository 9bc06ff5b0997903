import { io } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ADMIN_TOKEN, openService, type TestService } from '../support/service.ts';

let service: TestService;
let device: { id: string; key: string };
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
  device = { id: 'till-7', key: (await service.api('POST', '/devices', { id: 'till-7', type: 'till' })).body.apiKey };
});
afterAll(() => service?.close());

type Handshake = { auth?: Record<string, unknown>; extraHeaders?: Record<string, string> };

/** 'connected', or the words of the refusal. */
function connect(handshake: Handshake, transport: string): Promise<string> {
  const socket = io(`${service.url}/live`, { transports: [transport], reconnection: false, forceNew: true, ...handshake });
  return new Promise<string>((resolve) => {
    socket.once('connect', () => resolve('connected'));
    socket.once('connect_error', (error) => resolve(error.message));
  }).finally(() => socket.disconnect());
}

const bearer = (token: string, scheme = 'Bearer') => ({ extraHeaders: { Authorization: `${scheme} ${token}` } });

test.each<[string, () => Handshake, string]>([
  ['the header of the API, as python-socketio sends it', () => bearer(ADMIN_TOKEN), 'connected'],
  ['the header with another spelling of its scheme', () => bearer(ADMIN_TOKEN, 'bearer'), 'connected'],
  ['auth.token', () => ({ auth: { token: ADMIN_TOKEN } }), 'connected'],
  ['auth.token with a line end', () => ({ auth: { token: `${ADMIN_TOKEN}\n` } }), 'connected'],
  ['an empty auth.token beside the header', () => ({ auth: { token: '' }, ...bearer(ADMIN_TOKEN) }), 'connected'],
  ['a wrong auth.token beside a right header', () => ({ auth: { token: 'wrong' }, ...bearer(ADMIN_TOKEN) }), 'unauthorized'],
  ['an auth.token that is no text', () => ({ auth: { token: 7 }, ...bearer(ADMIN_TOKEN) }), 'unauthorized'],
  ['a wrong token in the header', () => bearer('wrong'), 'unauthorized'],
  ['another scheme', () => bearer(ADMIN_TOKEN, 'Basic'), 'unauthorized'],
  ['no token', () => ({}), 'unauthorized'],
  [
    "a device's key, which the operators' API refuses too",
    () => ({ extraHeaders: { 'X-Device-ID': device.id, 'X-API-Key': device.key } }),
    'unauthorized',
  ],
  ["a device's key as a bearer token", () => bearer(device.key), 'unauthorized'],
])('%s', async (_what, handshake, verdict) => {
  for (const transport of ['websocket', 'polling']) expect(await connect(handshake(), transport), transport).toBe(verdict);
  const { extraHeaders, auth } = handshake();
  const token = typeof auth?.token === 'string' && auth.token !== '' ? { Authorization: `Bearer ${auth.token.trim()}` } : {};
  if (typeof auth?.token === 'number') return;
  const answer = await fetch(`${service.url}/api/v1/devices`, { headers: { ...extraHeaders, ...token } });
  expect(answer.status === 200 ? 'connected' : 'unauthorized').toBe(verdict);
});

test('a token that is revoked ends the connection that came by the header', async () => {
  const { id, token } = (await service.api('POST', '/tokens', { name: 'dashboard', role: 'viewer' })).body;
  const socket = io(`${service.url}/live`, { transports: ['websocket'], reconnection: false, forceNew: true, ...bearer(token) });
  await new Promise<void>((resolve, reject) => void socket.once('connect', resolve).once('connect_error', reject));
  const closing = new Promise((resolve) => socket.once('closing', resolve));
  await service.api('DELETE', `/tokens/${id}`);
  expect(await closing).toMatchObject({ code: 'unauthorized' });
  socket.disconnect();
});
