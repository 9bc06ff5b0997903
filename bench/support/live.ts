import { watchLive } from '../../src/cli/watch.ts';
import type { LiveEvent } from '../../src/wire/live.ts';

/** The service's live events, as a dashboard receives them. `next` waits for one that it has not returned yet. */
export type LiveEvents = AsyncDisposable & {
  next(what: string, wanted: (event: LiveEvent) => boolean, timeoutMs?: number): Promise<LiveEvent>;
};

type Waiter = { wanted: (event: LiveEvent) => boolean; resolve: (event: LiveEvent) => void };

/** Limit of kept events that no call of `next` has returned yet. */
const KEPT = 10_000;
const TIMEOUT_MS = 30_000;

/** Resolves once the connection is open. It receives all later events. */
export async function openLiveEvents(server: string, token: string, signal: AbortSignal): Promise<LiveEvents> {
  const stop = new AbortController();
  const seen: LiveEvent[] = [];
  const waiters = new Set<Waiter>();
  const connected = Promise.withResolvers<void>();
  const take = (event: LiveEvent): void => {
    for (const waiter of waiters) {
      if (!waiter.wanted(event)) continue;
      waiters.delete(waiter);
      waiter.resolve(event);
      return;
    }
    seen.push(event);
    if (seen.length > KEPT) seen.shift();
  };
  const run = async (): Promise<void> => {
    for await (const message of watchLive({ server, token, topics: ['events'], signal: AbortSignal.any([signal, stop.signal]) })) {
      if (message.kind === 'event') take(message.event);
      else if (message.cursor !== undefined) connected.resolve();
    }
  };
  const running = run().catch((error: unknown) => connected.reject(error));
  await connected.promise;
  return {
    next: (what, wanted, timeoutMs = TIMEOUT_MS) => {
      const at = seen.findIndex(wanted);
      const [known] = at < 0 ? [] : seen.splice(at, 1);
      return known === undefined ? waitFor(waiters, what, wanted, timeoutMs, signal) : Promise.resolve(known);
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}

function waitFor(waiters: Set<Waiter>, what: string, wanted: Waiter['wanted'], timeoutMs: number, signal: AbortSignal): Promise<LiveEvent> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      waiters.delete(waiter);
      act();
    };
    const waiter: Waiter = { wanted, resolve: (event) => settle(() => resolve(event)) };
    const timer = setTimeout(() => settle(() => reject(new Error(`Waited ${timeoutMs} ms in vain for ${what}`))), timeoutMs);
    const aborted = () => settle(() => reject(signal.reason));
    signal.addEventListener('abort', aborted, { once: true });
    waiters.add(waiter);
  });
}
