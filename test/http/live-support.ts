import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, beforeEach, expect, vi } from 'vitest';
import { createOperatorAuth } from '../../src/api/operator-auth.ts';
import { readConfig } from '../../src/config.ts';
import { hashToken, last4, mintToken } from '../../src/crypto/tokens.ts';
import { appendEvents } from '../../src/event/store.ts';
import { createRateLimits } from '../../src/http/rate-limit.ts';
import { newId } from '../../src/ids.ts';
import { type Live, type LiveOptions, openLive } from '../../src/live/live.ts';
import { createLog } from '../../src/log.ts';
import { ensureOrganization, insertToken } from '../../src/organization/store.ts';
import type { EventType } from '../../src/wire/event/events.ts';
import type { SubscribeAnswer } from '../../src/wire/live.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventWith } from '../support/events.ts';

export type Tenant = { id: string; token: string; tokenId: string };

/** Live bindings: each test has its own service, and the tests of a file share a database. */
export let database: TestDatabase;
export let live: Live;
let server: Server;
const clients: Socket[] = [];

/** Call once in a test file. */
export function useLive(): void {
  beforeAll(async () => {
    database = await openTestDatabase();
  });
  afterAll(() => database.close());
  beforeEach(() => start());
  afterEach(async () => {
    for (const client of clients.splice(0)) client.disconnect();
    await live.close();
    await stopServer();
  });
}

async function start(options: Partial<LiveOptions> & { database?: TestDatabase } = {}): Promise<void> {
  const { sql, notifier } = options.database ?? database;
  const config = readConfig({});
  const rates = createRateLimits(config);
  server = createServer((_request, response) => response.writeHead(404).end());
  const opened = await openLive({
    httpServer: server,
    sql,
    notifier,
    log: createLog('silent'),
    corsOrigins: [],
    authenticate: createOperatorAuth({ sql, limits: rates, config, issuer: null, metrics: { crossOriginRefused: () => undefined } })
      .actorOf,
    rates,
    own: config,
    ...options,
  });
  let closed: Promise<void> | undefined;
  live = {
    connections: opened.connections,
    handshakes: opened.handshakes,
    close: () => {
      closed ??= opened.close();
      return closed;
    },
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
}

export async function restart(options: Parameters<typeof start>[0] = {}): Promise<void> {
  await live.close();
  await stopServer();
  await start(options);
}

async function stopServer(): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

export function address(): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export async function tenant(where: TestDatabase = database): Promise<Tenant> {
  const id = await ensureOrganization(where.sql, newId(), `org-${newId()}`);
  const token = mintToken('token');
  const row = await insertToken(where.sql, id, { id: newId(), name: 'test', role: 'viewer', hash: hashToken(token), last4: last4(token) });
  return { id, token, tokenId: row.id };
}

type Appended = { type?: EventType; subject?: string; data?: Record<string, unknown> };

export async function append(to: Tenant, events: readonly Appended[], where: TestDatabase = database): Promise<void> {
  const rows = events.map(({ type = 'device.changed', subject = 'device:a', data = {} }) =>
    eventWith({ organizationId: to.id, type, subject, data }),
  );
  await where.sql.begin((tx) => appendEvents(tx, rows));
}

export function status(deviceId: string, shown: 'ONLINE' | 'UPDATING' | 'ERROR'): Appended {
  const syncStatus = { ONLINE: 'in_sync', UPDATING: 'updating', ERROR: 'failed' }[shown];
  return { type: 'device.status', subject: `device:${deviceId}`, data: { status: shown, syncStatus, connectivity: 'online' } };
}

export function open(auth: Record<string, unknown>): Socket {
  return track(io(`${address()}/live`, { transports: ['websocket'], reconnection: false, forceNew: true, auth }));
}

export function track(client: Socket): Socket {
  clients.push(client);
  return client;
}

export async function connected(who: Tenant): Promise<Socket> {
  const client = open({ token: who.token });
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve());
    client.once('connect_error', reject);
  });
  return client;
}

export function next<T>(client: Socket, name: string): Promise<T> {
  return new Promise((resolve) => client.once(name, resolve));
}

export function collect<T>(client: Socket, name: string): T[] {
  const seen: T[] = [];
  client.on(name, (message: T) => seen.push(message));
  return seen;
}

export async function request(client: Socket, name: string, input: unknown): Promise<unknown> {
  return client.timeout(60_000).emitWithAck(name, input);
}

export async function subscribe(client: Socket, topics: string[], after?: number): Promise<SubscribeAnswer> {
  return client.timeout(60_000).emitWithAck('subscribe', { topics, ...(after === undefined ? {} : { after }) });
}

export async function until(condition: () => boolean): Promise<void> {
  await vi.waitFor(() => expect(condition()).toBe(true), { timeout: 60_000, interval: 10 });
}

/** Stops the client's TCP socket from reading. */
export function pauseReading(client: Socket): void {
  const webSocket: unknown = Reflect.get(client.io.engine.transport, 'ws');
  const tcp: unknown = typeof webSocket === 'object' && webSocket !== null ? Reflect.get(webSocket, '_socket') : undefined;
  if (typeof tcp !== 'object' || tcp === null || !('pause' in tcp) || typeof tcp.pause !== 'function')
    throw new Error('the client has no TCP socket');
  tcp.pause();
}
