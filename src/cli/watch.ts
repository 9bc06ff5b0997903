import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { io as connect, type ManagerOptions, type SocketOptions } from 'socket.io-client';
import { pause } from '../async/pause.ts';
import { Problem } from '../errors.ts';
import { LIVE_NAMESPACE, LiveEvent, SubscribeAnswer, type Topic } from '../wire/live.ts';
import { type Proxies, proxyFor } from '../wire/proxies.ts';
import { serverUrl } from './client.ts';

/**
 * `event`: a fact, in order. `look`: something may have changed, or been missed; ask the API. It comes at the start, at each connection
 * (`cursor`: later events follow by themselves), for each changed device, and every few seconds while the live connection cannot be made.
 */
export type LiveMessage = { kind: 'event'; event: LiveEvent } | { kind: 'look'; cursor?: number; polling?: boolean };

export type LiveTarget = {
  server: string;
  token: string;
  proxies?: Proxies | undefined;
  topics: Topic[];
  signal?: AbortSignal | undefined;
  pollMs?: number;
  /** Look in this rhythm also while the live connection stands: for progress that makes no event. */
  pollAlways?: boolean;
};

const POLL_MS = 3_000;
const CONNECT_TIMEOUT_MS = 5_000;
const ACK_TIMEOUT_MS = 30_000;

/** What was missed while the connection was away is sent when it is back. Goes on until the signal aborts or the consumer stops. @throws Problem `unauthorized` */
export async function* watchLive(target: LiveTarget): AsyncGenerator<LiveMessage, void, void> {
  const waiting: LiveMessage[] = [];
  let failure: Problem | undefined;
  let wake = Promise.withResolvers<void>();
  const push = (message: LiveMessage): void => {
    // Two looks in a row tell no more than one.
    const before = waiting.at(-1);
    if (message.kind === 'look' && before?.kind === 'look') waiting[waiting.length - 1] = { ...before, ...message };
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
  const polling = pollWhileAway(
    () => socket.connected && target.pollAlways !== true,
    () => push({ kind: 'look', polling: true }),
    target.pollMs ?? POLL_MS,
    signal,
  );
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  try {
    push({ kind: 'look' });
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
    // The requests of a polling session must all reach the same process: only where there is no WebSocket.
    transports: ['websocket', 'polling'],
    tryAllTransports: true,
    timeout: CONNECT_TIMEOUT_MS,
  };
  const agent = proxyAgentOf(url, target.proxies);
  // An HTTP agent, as its documentation says; its types know only the browser's.
  if (agent !== undefined) Reflect.set(options, 'agent', agent);
  const socket = connect(`${url.origin}${LIVE_NAMESPACE}`, options);
  /** Cursor up to which nothing was missed. */
  let after: number | undefined;
  const subscribe = () => {
    const request = { topics: target.topics, ...(after === undefined ? {} : { after }) };
    // By callback: with a promise, events of the same packet would overtake the answer.
    socket.timeout(ACK_TIMEOUT_MS).emit('subscribe', request, (error: Error | null, answer: unknown) => {
      const parsed = error === null ? SubscribeAnswer.safeParse(answer).data : undefined;
      if (parsed?.ok === true) {
        if (after === undefined || parsed.replayed === 0) after = parsed.cursor;
        push({ kind: 'look', cursor: parsed.cursor });
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
  socket.on('device_update', () => push({ kind: 'look' }));
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

async function pollWhileAway(isQuiet: () => boolean, look: () => void, pollMs: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await pause(pollMs, signal);
    if (!signal.aborted && !isQuiet()) look();
  }
}
