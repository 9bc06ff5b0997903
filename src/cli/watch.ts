import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { io as connect, type ManagerOptions, type SocketOptions } from 'socket.io-client';
import { pause } from '../async/pause.ts';
import { Problem } from '../errors.ts';
import { LiveEvent, SubscribeAnswer, type Topic } from '../wire/live.ts';
import { LIVE_NAMESPACE } from '../wire/page/addresses.ts';
import { type Proxies, proxyFor } from '../wire/proxies.ts';
import { serverUrl } from './client.ts';

/**
 * `event`: a fact, in order. `reload`: something may have changed, so the consumer loads the state from the API. `reload` follows the start, each
 * connection (`cursor`: later events follow by themselves) and each changed device. Without a live connection, it follows every `pollMs`.
 */
export type LiveMessage = { kind: 'event'; event: LiveEvent } | { kind: 'reload'; cursor?: number; polling?: boolean };

export type LiveTarget = {
  server: string;
  token: string;
  proxies?: Proxies | undefined;
  topics: Topic[];
  signal?: AbortSignal | undefined;
  pollMs?: number;
  /** Polls also during a live connection, for progress without events. */
  pollAlways?: boolean;
};

const POLL_MS = 3_000;
const CONNECT_TIMEOUT_MS = 5_000;
const ACK_TIMEOUT_MS = 30_000;

/** Runs until the signal aborts or the consumer stops. After a reconnect, the server sends the missed events. @throws Problem `unauthorized` */
export async function* watchLive(target: LiveTarget): AsyncGenerator<LiveMessage, void, void> {
  const waiting: LiveMessage[] = [];
  let failure: Problem | undefined;
  let wake = Promise.withResolvers<void>();
  const push = (message: LiveMessage): void => {
    // One reload covers two requests in a row.
    const before = waiting.at(-1);
    if (message.kind === 'reload' && before?.kind === 'reload') waiting[waiting.length - 1] = { ...before, ...message };
    else waiting.push(message);
    wake.resolve();
  };
  const fail = (problem: Problem): void => {
    failure = problem;
    wake.resolve();
  };
  const socket = openSocket(target, push, fail);
  const stop = new AbortController();
  const signal = target.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, target.signal]);
  const polling = pollWhileDisconnected(
    () => socket.connected && target.pollAlways !== true,
    () => push({ kind: 'reload', polling: true }),
    target.pollMs ?? POLL_MS,
    signal,
  );
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  try {
    push({ kind: 'reload' });
    while (!signal.aborted) {
      if (failure !== undefined) throw failure;
      const message = waiting.shift();
      if (message !== undefined) {
        yield message;
        continue;
      }
      wake = Promise.withResolvers<void>();
      await Promise.race([wake.promise, aborted]);
    }
  } finally {
    stop.abort();
    socket.disconnect();
    await polling;
  }
}

function openSocket(target: LiveTarget, push: (message: LiveMessage) => void, fail: (problem: Problem) => void) {
  const url = serverUrl(target.server, '');
  const path = `${url.pathname.replace(/\/+$/, '')}/socket.io/`;
  const options: Partial<ManagerOptions & SocketOptions> = {
    path,
    auth: { token: target.token },
    forceNew: true,
    // Polling is the fallback, because all requests of a polling session must reach the same process.
    transports: ['websocket', 'polling'],
    tryAllTransports: true,
    timeout: CONNECT_TIMEOUT_MS,
  };
  const agent = proxyAgentOf(url, target.proxies);
  // The documentation allows an HTTP agent here, but the types know only the browser's.
  if (agent !== undefined) Reflect.set(options, 'agent', agent);
  const socket = connect(`${url.origin}${LIVE_NAMESPACE}`, options);
  /** Cursor up to which the client has all events. */
  let after: number | undefined;
  const subscribe = () => {
    const request = { topics: target.topics, ...(after === undefined ? {} : { after }) };
    // With a promise instead of the callback, events of the same packet would overtake the answer.
    socket.timeout(ACK_TIMEOUT_MS).emit('subscribe', request, (error: Error | null, answer: unknown) => {
      const parsed = error === null ? SubscribeAnswer.safeParse(answer).data : undefined;
      if (parsed?.ok === true) {
        if (after === undefined || parsed.replayed === 0) after = parsed.cursor;
        push({ kind: 'reload', cursor: parsed.cursor });
      } else if (parsed?.code === 'cursor_too_old' && after !== undefined) {
        after = undefined;
        subscribe();
      } else if (socket.connected)
        fail(
          new Problem(
            parsed === undefined ? 'timeout' : { received: parsed.code },
            parsed?.detail ?? 'Cannot watch: the server does not answer',
          ),
        );
    });
  };
  const unauthorized = () => fail(new Problem('unauthorized', 'Cannot watch: the token is not valid'));
  socket.on('connect', subscribe);
  socket.on('connect_error', (error) => {
    if (error.message === 'unauthorized') unauthorized();
  });
  socket.on('closing', (message: unknown) => {
    if (typeof message === 'object' && message !== null && 'code' in message && message.code === 'unauthorized') unauthorized();
  });
  socket.on('device_update', () => push({ kind: 'reload' }));
  socket.on('event', (message: unknown) => {
    const event = LiveEvent.safeParse(message).data;
    if (event === undefined) return;
    after = Math.max(after ?? 0, event.cursor);
    push({ kind: 'event', event });
  });
  return socket;
}

function proxyAgentOf(url: URL, proxies: Proxies | undefined): HttpAgent | undefined {
  const proxy = proxyFor(proxies, url)?.href;
  if (proxy === undefined) return undefined;
  return url.protocol === 'https:'
    ? new HttpsAgent({ proxyEnv: { HTTPS_PROXY: proxy } })
    : new HttpAgent({ proxyEnv: { HTTP_PROXY: proxy } });
}

async function pollWhileDisconnected(isQuiet: () => boolean, reload: () => void, pollMs: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await pause(pollMs, signal);
    if (!signal.aborted && !isQuiet()) reload();
  }
}
