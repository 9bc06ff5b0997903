import type { Answer, Ask, Connections } from './connection.ts';

/**
 * A device's own connection to the service. `cut` and `restore` simulate a lost network. Requests during the interruption wait and follow after
 * `restore`.
 */
export type Line = {
  /** @throws Problem of `Connections.ask`; the signal's reason */
  ask(what: Question): Promise<Answer>;
  /** The same over the shared pool, because a long poll occupies the device's own connection. */
  askBeside(what: Question): Promise<Answer>;
  cut(): void;
  restore(): void;
  close(): Promise<void>;
};

export type Question = Omit<Ask, 'headers'> & { headers?: Record<string, string> };

/** `identity`: headers of every request. */
export function openLine(connections: Connections, identity: Record<string, string>): Line {
  let own = connections.open();
  let away: PromiseWithResolvers<void> | null = null;
  const there = async (signal: AbortSignal): Promise<void> => {
    while (away !== null) await untilAborted(away.promise, signal);
    signal.throwIfAborted();
  };
  const withIdentity = ({ headers, ...what }: Question): Ask => ({ ...what, headers: { ...identity, ...headers } });
  return {
    async ask(what) {
      for (;;) {
        await there(what.signal);
        const present = own;
        try {
          return await present.ask(withIdentity(what));
        } catch (error) {
          if (what.signal.aborted || present === own) throw error;
        }
      }
    },
    async askBeside(what) {
      await there(what.signal);
      return connections.ask(withIdentity(what));
    },
    cut() {
      if (away !== null) return;
      away = Promise.withResolvers();
      void own.close();
      own = connections.open();
    },
    restore() {
      away?.resolve();
      away = null;
    },
    close: () => own.close(),
  };
}

/** @throws the signal's reason, if the signal fires first */
function untilAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    void promise.then(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
  });
}
