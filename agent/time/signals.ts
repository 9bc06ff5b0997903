import { setTimeout as delay } from 'node:timers/promises';

/** A wake-up signal. Any number of rings without a waiter cause one wake-up. */
export type Bell = { ring(): void; wait(signal: AbortSignal, timeoutMs?: number): Promise<void> };

export function createBell(): Bell {
  let rung = false;
  let wake: (() => void) | null = null;
  return {
    ring() {
      rung = true;
      wake?.();
    },
    async wait(signal, timeoutMs) {
      if (!rung) {
        const done = new AbortController();
        wake = () => done.abort();
        await pause(timeoutMs ?? 2 ** 31 - 1, AbortSignal.any([signal, done.signal]));
        wake = null;
      }
      rung = false;
    },
  };
}

/** Waits `ms`. It returns early, without an error, when the signal fires. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await delay(Math.min(ms, 2 ** 31 - 1), undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

/** Runs one function at a time, in the order of the calls. */
export type Turn = <T>(work: () => Promise<T>) => Promise<T>;

export function createTurn(): Turn {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work, work);
    last = mine.catch(() => undefined);
    return mine;
  };
}
