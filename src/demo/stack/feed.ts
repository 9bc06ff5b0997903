import { watchLive } from '../../cli/watch.ts';
import { messageOf, Problem } from '../../errors.ts';
import type { LiveEvent } from '../../wire/live.ts';

/** `atMs`: when it arrived here, on the clock of `performance.now()`. */
export type Seen = { event: LiveEvent; atMs: number };

/** Everything that happens from its start, kept until it is disposed of. */
export type Recording = Disposable & {
  seen: readonly Seen[];
  /** The first that matches, whether it has happened or will. @throws Problem `demo_incomplete` after the time limit */
  find(what: string, matches: (event: LiveEvent) => boolean): Promise<Seen>;
};

export type Feed = { record(): Recording; close(): Promise<void> };

const FIND_TIMEOUT_MS = 400_000;

type Listener = (seen: Seen) => void;

/** The service's live events, from when this returns; `onEvent` gets each of them. @throws Problem when it cannot be listened to */
export async function openFeed(
  server: string,
  token: string,
  onEvent: (event: LiveEvent) => void,
  onFailure: (error: unknown) => void,
  signal: AbortSignal,
): Promise<Feed> {
  const listeners = new Set<Listener>();
  const ready = Promise.withResolvers<void>();
  const stop = new AbortController();
  const listening = (async () => {
    for await (const message of watchLive({ server, token, topics: ['events'], signal: AbortSignal.any([signal, stop.signal]) })) {
      if (message.kind === 'reload') {
        if (message.cursor !== undefined) ready.resolve();
        continue;
      }
      const seen = { event: message.event, atMs: performance.now() };
      for (const listener of listeners) listener(seen);
      onEvent(message.event);
    }
    ready.reject(signal.reason ?? new Problem('demo_incomplete', 'Cannot listen to the service: the live connection ended'));
  })().catch((error: unknown) => {
    ready.reject(error);
    onFailure(error);
  });
  await ready.promise;
  return {
    record: () => record(listeners, signal),
    close: async () => {
      stop.abort();
      await listening;
    },
  };
}

function record(listeners: Set<Listener>, signal: AbortSignal): Recording {
  const seen: Seen[] = [];
  const listener: Listener = (one) => seen.push(one);
  listeners.add(listener);
  const find: Recording['find'] = async (what, matches) => {
    const before = seen.find(({ event }) => matches(event));
    return before ?? nextOf(listeners, what, matches, AbortSignal.any([signal, AbortSignal.timeout(FIND_TIMEOUT_MS)]));
  };
  return { seen, find, [Symbol.dispose]: () => void listeners.delete(listener) };
}

function nextOf(listeners: Set<Listener>, what: string, matches: (event: LiveEvent) => boolean, signal: AbortSignal): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const listener: Listener = (seen) => {
      if (!matches(seen.event)) return;
      end();
      resolve(seen);
    };
    const onAbort = () => {
      end();
      reject(
        new Problem('demo_incomplete', `Cannot go on: ${what} was not observed (${messageOf(signal.reason)})`, { cause: signal.reason }),
      );
    };
    const end = () => {
      listeners.delete(listener);
      signal.removeEventListener('abort', onAbort);
    };
    listeners.add(listener);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
