import type { Server as HttpServer } from 'node:http';
import { type DefaultEventsMap, type Namespace, Server, type Socket } from 'socket.io';
import type { z } from 'zod';
import type { Sql } from '../db/connect.ts';
import type { Log } from '../log.ts';
import type { Actor } from '../organization/organization.ts';
import {
  type Closing,
  type DeviceUpdate,
  LIVE_NAMESPACE,
  type LiveEvent,
  type SubscribeAnswer,
  SubscribeRequest,
  type UnsubscribeAnswer,
  UnsubscribeRequest,
} from '../wire/live.ts';
import { createCoalescer } from './live-coalesce.ts';
import { type FeedBatch, openLiveFeed } from './live-feed.ts';
import { endConnection, isTooSlow, LIVE_LIMITS, type LiveLimits, watchSockets } from './live-sockets.ts';
import { createSubscription, type Subscription } from './live-subscription.ts';
import { toMessage, topicsOf, topicsOfDevice } from './live-updates.ts';

export type LiveOptions = {
  httpServer: HttpServer;
  sql: Sql;
  /** For LISTEN: a connection that lasts, not one of a transaction-mode pooler. */
  listenSql: Sql;
  log: Log;
  /** Origins whose pages may connect by HTTP polling; `*` for all. Empty: only pages of our own origin. */
  corsOrigins: readonly string[];
  authenticate(token: string | undefined): Promise<Actor | undefined>;
  limits?: Partial<LiveLimits>;
};

/** The Socket.IO namespace `/live`: what happens, told to those who may know it. */
export type Live = {
  connections(): number;
  /** Delivers what was committed before the call, then ends all connections. The HTTP server stays its opener's. */
  close(): Promise<void>;
};

type ClientEvents = { subscribe(request: unknown, acknowledge: unknown): void; unsubscribe(request: unknown, acknowledge: unknown): void };
type ServerEvents = { event(event: LiveEvent): void; device_update(update: DeviceUpdate): void; closing(closing: Closing): void };
type SocketData = { actor: Actor; token: string };
export type LiveSocket = Socket<ClientEvents, ServerEvents, DefaultEventsMap, SocketData>;
export type LiveNamespace = Namespace<ClientEvents, ServerEvents, DefaultEventsMap, SocketData>;

const MAX_PAYLOAD_BYTES = 100_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** At most 10 updates of one device each second. */
const UPDATE_INTERVAL_MS = 100;
/** Subscriptions of one socket that wait for their turn. */
const MAX_WAITING_REQUESTS = 20;

export async function openLive(options: LiveOptions): Promise<Live> {
  const { log, sql } = options;
  const limits = { ...LIVE_LIMITS, ...options.limits };
  const io = new Server<ClientEvents, ServerEvents, DefaultEventsMap, SocketData>(options.httpServer, {
    serveClient: false,
    maxHttpBufferSize: MAX_PAYLOAD_BYTES,
    connectTimeout: CONNECT_TIMEOUT_MS,
    cors: { origin: options.corsOrigins.includes('*') ? '*' : [...options.corsOrigins] },
  });
  io.use((_socket, next) => next(new Error(`use the namespace ${LIVE_NAMESPACE}`)));
  const live: LiveNamespace = io.of(LIVE_NAMESPACE);
  const subscriptions = new Map<string, Set<Subscription>>();
  const updates = createCoalescer<{ organizationId: string; update: DeviceUpdate }>(UPDATE_INTERVAL_MS, ({ organizationId, update }) => {
    live.to(roomsOf(organizationId, topicsOfDevice(update.device_id))).emit('device_update', update);
  });
  const deliver = ({ organizationId, ...batch }: FeedBatch): void => {
    for (const subscription of subscriptions.get(organizationId) ?? []) subscription.observe({ organizationId, ...batch });
    for (const event of batch.events) live.to(roomsOf(organizationId, topicsOf(event))).emit('event', toMessage(event));
    for (const update of batch.updates) updates.offer(`${organizationId} ${update.device_id}`, { organizationId, update });
  };
  const feed = await openLiveFeed({ sql, listenSql: options.listenSql, log, deliver });

  live.use((socket, next) => void admit(socket, options).then(next));
  live.on('connection', (socket) => {
    const { organizationId } = socket.data.actor;
    const ready = feed.follow(organizationId);
    const subscription = createSubscription(sql, feed, organizationId, {
      join: (topics) => void socket.join(roomsOf(organizationId, topics)),
      leave: (topics) => {
        for (const room of roomsOf(organizationId, topics)) void socket.leave(room);
      },
      event: (event) => socket.emit('event', toMessage(event)),
      update: (update) => socket.emit('device_update', update),
      isUpdateWaiting: (deviceId) => updates.isWaiting(`${organizationId} ${deviceId}`),
    });
    const peers = subscriptions.get(organizationId) ?? new Set();
    subscriptions.set(organizationId, peers.add(subscription));
    socket.on('disconnect', (reason) => {
      log.debug({ organizationId, socketId: socket.id, reason }, 'live connection ended');
      subscription.close();
      peers.delete(subscription);
      if (peers.size === 0 && subscriptions.get(organizationId) === peers) subscriptions.delete(organizationId);
      feed.unfollow(organizationId);
    });
    serve(socket, subscription, ready, log);
  });

  const stopWatching = watchSockets(live, options.authenticate, limits, log);
  return {
    connections: () => live.sockets.size,
    close: async () => {
      stopWatching();
      const last = Promise.all([...subscriptions.keys()].map((organizationId) => feed.catchUp(organizationId)));
      await withinMs(limits.closeTimeoutMs, last);
      updates.flush();
      live.emit('closing', { code: 'shutting_down', detail: 'The service is stopping; connect again in a moment' });
      const ended = [...live.sockets.values()].map((socket) => endConnection(socket, isTooSlow(socket, limits)));
      await withinMs(limits.closeTimeoutMs, Promise.all(ended));
      io.engine.close();
      updates.close();
      await feed.close();
    },
  };
}

/** Rooms carry the organization: device ids are unique within one only. */
function roomsOf(organizationId: string, topics: readonly string[]): string[] {
  return topics.map((topic) => `org:${organizationId}:${topic}`);
}

/** The error that the handshake ends with, if it does. */
async function admit(socket: LiveSocket, options: LiveOptions): Promise<Error | undefined> {
  const token: unknown = socket.handshake.auth.token;
  if (typeof token !== 'string') return new Error('unauthorized');
  try {
    const actor = await options.authenticate(token);
    if (actor === undefined) return new Error('unauthorized');
    socket.data.actor = actor;
    socket.data.token = token;
    return undefined;
  } catch (error) {
    options.log.warn({ err: error }, 'cannot authenticate a live connection');
    return new Error('unavailable');
  }
}

/** Requests of one socket are answered one after the other, each by its acknowledgement; none of them can throw. */
function serve(socket: LiveSocket, subscription: Subscription, ready: Promise<void>, log: Log): void {
  let waiting = 0;
  let tail: Promise<void> = ready;
  socket.on('subscribe', (input, acknowledge) => {
    const answer = (result: SubscribeAnswer): void => reply(acknowledge, result);
    const request = SubscribeRequest.safeParse(input);
    if (!request.success) return answer(refusal(request.error));
    if (waiting >= MAX_WAITING_REQUESTS)
      return answer({ ok: false, code: 'busy', detail: `Cannot subscribe: ${waiting} earlier requests wait for their answer` });
    waiting += 1;
    tail = tail
      .then(() => (socket.connected ? subscription.subscribe(request.data, answer) : undefined))
      .catch((error: unknown) => {
        log.warn({ err: error, socketId: socket.id }, 'cannot subscribe');
        answer({ ok: false, code: 'unavailable', detail: 'Cannot subscribe now: the database does not answer; try again' });
      })
      .finally(() => {
        waiting -= 1;
      });
  });
  socket.on('unsubscribe', (input, acknowledge) => {
    const request = UnsubscribeRequest.safeParse(input);
    if (!request.success) return reply(acknowledge, refusal(request.error));
    tail = tail.then(() => {
      subscription.unsubscribe(request.data.topics);
      reply(acknowledge, { ok: true });
    });
  });
}

function reply(acknowledge: unknown, answer: SubscribeAnswer | UnsubscribeAnswer): void {
  if (typeof acknowledge === 'function') acknowledge(answer);
}

function refusal(error: z.ZodError): { ok: false; code: string; detail: string } {
  const problems = error.issues.slice(0, 5).map((issue) => `/${issue.path.join('/')} ${issue.message}`);
  return { ok: false, code: 'invalid_request', detail: `Cannot accept the request: ${problems.join('; ')}` };
}

/** Waits for `work`, but not longer; how it ends is of no matter. */
async function withinMs(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([work.catch(() => undefined), late]);
  clearTimeout(timer);
}
