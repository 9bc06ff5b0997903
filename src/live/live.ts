import type { Server as HttpServer } from 'node:http';
import { type DefaultEventsMap, Server } from 'socket.io';
import { type Coalescer, createCoalescer } from '../async/coalesce.ts';
import { within } from '../async/deadline.ts';
import { closeOnce } from '../async/lifecycle.ts';
import type { Sql } from '../db/connect.ts';
import type { Notifier } from '../db/notifier.ts';
import { Problem } from '../errors.ts';
import { addressOfRequest, networkOf } from '../http/address.ts';
import { bearerOf, unauthorized } from '../http/bearer.ts';
import { type OwnAddress, pageOf, readCookie, SESSION_COOKIE } from '../http/browser.ts';
import { OURSELVES, type RateLimits, refuse } from '../http/rate-limit.ts';
import type { Log } from '../log.ts';
import { type Actor, TOKENS_CHANNEL } from '../organization/organization.ts';
import type { Credential } from '../session/session.ts';
import type { DeviceUpdate } from '../wire/live.ts';
import { LIVE_NAMESPACE } from '../wire/page/addresses.ts';
import { type FeedBatch, type LiveFeed, openLiveFeed } from './feed.ts';
import { boundHandshakes, type Handshakes, paceSuspects } from './handshakes.ts';
import { answerRequests } from './requests.ts';
import {
  type ClientEvents,
  endConnection,
  isTooSlow,
  LIVE_LIMITS,
  type LiveLimits,
  type LiveNamespace,
  type LiveSocket,
  type ServerEvents,
  type SocketData,
  watchSockets,
} from './sockets.ts';
import { createSubscription, type Subscription } from './subscription.ts';
import { toMessage, topicsOf, topicsOfDevice } from './updates.ts';

export type LiveOptions = {
  httpServer: HttpServer;
  sql: Sql;
  notifier: Notifier;
  log: Log;
  /** Origins whose pages may connect by HTTP polling; `*` for all. Empty: only pages of our own origin. */
  corsOrigins: readonly string[];
  /** Verifies a token or session of `sender`. Counts nothing. */
  authenticate(credential: Credential, sender: string): Promise<Actor | undefined>;
  /** The limits of the API: a refused token counts against its sender, a connection against its token. */
  rates: RateLimits;
  own: OwnAddress;
  limits?: Partial<LiveLimits>;
};

/** The Socket.IO namespace `/live`: sends the events of an organization to the holders of its tokens and sessions. */
export type Live = {
  connections(): number;
  /** Connections that have not sent a valid token yet. */
  handshakes(): number;
  /** Delivers all events that were committed before the call, then ends all connections. The opener closes the HTTP server. */
  close(): Promise<void>;
};

const MAX_PAYLOAD_BYTES = 100_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** At most 10 updates of one device each second. */
const UPDATE_INTERVAL_MS = 100;

/** Shared by the connections of this process. */
type Shared = {
  live: LiveNamespace;
  feed: LiveFeed;
  updates: Coalescer<OwnUpdate>;
  /** By organization. */
  subscriptions: Map<string, Set<Subscription>>;
};

type OwnUpdate = { organizationId: string; update: DeviceUpdate };

export async function openLive(options: LiveOptions): Promise<Live> {
  const { log, sql, notifier } = options;
  const limits = { ...LIVE_LIMITS, ...options.limits };
  const pace = paceSuspects(options.rates.refusal.isExhausted);
  const io = new Server<ClientEvents, ServerEvents, DefaultEventsMap, SocketData>(options.httpServer, {
    serveClient: false,
    maxHttpBufferSize: MAX_PAYLOAD_BYTES,
    connectTimeout: CONNECT_TIMEOUT_MS,
    allowRequest: (request, answer) =>
      pace.begin(request, networkOf(addressOfRequest(request, options.own.TRUST_PROXY)), (mayBegin) =>
        answer(mayBegin ? undefined : 'rate_limited', mayBegin),
      ),
    cors: { origin: options.corsOrigins.includes('*') ? '*' : [...options.corsOrigins] },
  });
  const handshakes = boundHandshakes(
    (listener) => io.engine.on('connection', listener),
    (connection) => senderOfConnection(connection, options.own.TRUST_PROXY),
  );
  io.use((socket, next) => refuseSocket(socket, next, new Error(`use the namespace ${LIVE_NAMESPACE}`)));
  const live: LiveNamespace = io.of(LIVE_NAMESPACE);
  const subscriptions: Shared['subscriptions'] = new Map();
  const updates = createCoalescer<OwnUpdate>(UPDATE_INTERVAL_MS, ({ organizationId, update }) => {
    live.to(roomsOf(organizationId, topicsOfDevice(update.device_id))).emit('device_update', update);
  });
  const feed = await openLiveFeed({ sql, notifier, log, deliver: (batch) => deliver({ live, updates, subscriptions }, batch) });
  const shared = { live, feed, updates, subscriptions };
  live.use((socket, next) => {
    void admit(socket, options, handshakes).then((error) => (error === undefined ? next() : refuseSocket(socket, next, error)));
  });
  live.on('connection', (socket) => attach(socket, shared, sql, log));
  const watch = watchSockets(live, (credential) => options.authenticate(credential, OURSELVES), limits, log);
  const unsubscribe = await notifier.subscribe(TOKENS_CHANNEL, { onNotify: watch.recheck, onMissed: watch.recheck });
  return {
    connections: () => live.sockets.size,
    handshakes: handshakes.waiting,
    close: closeOnce(async () => {
      unsubscribe();
      pace.close();
      await within(limits.closeTimeoutMs, watch.close());
      await announceShutdown(shared, limits);
      io.engine.close();
      updates.close();
      await feed.close();
    }),
  };
}

function deliver({ live, updates, subscriptions }: Omit<Shared, 'feed'>, batch: FeedBatch): void {
  const { organizationId } = batch;
  for (const subscription of subscriptions.get(organizationId) ?? []) subscription.observe(batch);
  for (const event of batch.events) live.to(roomsOf(organizationId, topicsOf(event))).emit('event', toMessage(event));
  for (const update of batch.updates) updates.offer(`${organizationId} ${update.device_id}`, { organizationId, update });
}

function attach(socket: LiveSocket, { feed, updates, subscriptions }: Shared, sql: Sql, log: Log): void {
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
  answerRequests(socket, subscription, ready, log);
}

/** Subscribers still get the last events (devices that the service watches no more), if the time allows. Then every connection ends. */
async function announceShutdown({ live, feed, updates, subscriptions }: Shared, limits: LiveLimits): Promise<void> {
  const last = Promise.all([...subscriptions.keys()].map((organizationId) => feed.catchUp(organizationId)));
  await within(limits.closeTimeoutMs, last);
  updates.flush();
  live.emit('closing', { code: 'shutting_down', detail: 'The service is stopping; connect again in a moment' });
  const ended = [...live.sockets.values()].map((socket) => endConnection(socket, isTooSlow(socket, limits)));
  await within(limits.closeTimeoutMs, Promise.all(ended));
}

/** A room's name includes the organization, because device ids are unique within one organization only. */
function roomsOf(organizationId: string, topics: readonly string[]): string[] {
  return topics.map((topic) => `org:${organizationId}:${topic}`);
}

/** Verifies the token or session before it counts anything: a valid one always passes the limits of its sender. @returns the error that ends the handshake */
async function admit(socket: LiveSocket, options: LiveOptions, handshakes: Handshakes): Promise<Error | undefined> {
  const { rates, log } = options;
  const credential = credentialOf(socket, options.own);
  const sender = senderOfConnection(socket.conn, options.own.TRUST_PROXY);
  try {
    const mayTry = handshakes.begin(socket.conn);
    const actor = mayTry && credential !== undefined ? await options.authenticate(credential, sender) : undefined;
    if (actor === undefined || credential === undefined)
      refuse(rates, sender, unauthorized('connect with auth: {token}, or from our own page with a session'));
    rates.token.take(actor.id);
    socket.data.actor = actor;
    socket.data.credential = credential;
    handshakes.admit(socket.conn);
    return undefined;
  } catch (error) {
    if (error instanceof Problem && (error.status === 401 || error.status === 429)) return errorOf(error);
    log.warn({ err: error }, 'failed to authenticate a live connection; it is refused as unavailable');
    return new Error('unavailable');
  }
}

/**
 * A token comes before the session cookie. The cookie counts only for our own page: unlike the answers of the API, the browser would show the messages
 * of a connection to a page of any origin.
 */
function credentialOf(socket: LiveSocket, own: OwnAddress): Credential | undefined {
  const token = tokenOf(socket);
  if (token !== undefined) return { via: 'token', secret: token };
  const { request } = socket.conn;
  const key = pageOf(request, own) === 'own' ? readCookie(request, SESSION_COOKIE, own) : undefined;
  return key === undefined ? undefined : { via: 'session', secret: key };
}

/** Reads `auth: {token}`, or else `Authorization: Bearer <token>`, which a proxy or a library may have set for all requests. */
function tokenOf({ handshake }: LiveSocket): string | undefined {
  const given: unknown = handshake.auth.token;
  if (given === undefined || given === null || given === '') return bearerOf(handshake.headers.authorization);
  // Some clients put the whole value of the header here.
  return typeof given === 'string' ? (bearerOf(given.trim()) ?? given.trim()) : undefined;
}

/** Socket.IO hands `message` and `data` to the client. */
function errorOf({ code, retryAfterSeconds }: Problem): Error {
  return Object.assign(new Error(code), retryAfterSeconds === undefined ? {} : { data: { retryAfterSeconds } });
}

/** Ends the connection too. Otherwise a client could try many tokens on it. */
function refuseSocket({ conn }: Pick<LiveSocket, 'conn'>, next: (error: Error) => void, error: Error): void {
  next(error);
  // Socket.IO sends the error in the next tick.
  setImmediate(() => conn.close());
}

function senderOfConnection({ request }: LiveSocket['conn'], trustProxy: boolean): string {
  return networkOf(addressOfRequest(request, trustProxy));
}
