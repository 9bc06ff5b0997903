import type { Closable } from './lifecycle.ts';

/** Runs the latest work of a key after `quietMs` without another call for that key. */
export type Debounce = Closable & { run(key: string, work: () => Promise<void>): void };

/** `close` drops work that has not begun, and waits for running work. */
export function createDebounce(quietMs: number): Debounce {
  const timers = new Map<string, NodeJS.Timeout>();
  const running = new Set<Promise<void>>();
  return {
    run: (key, work) => {
      clearTimeout(timers.get(key));
      const start = () => {
        timers.delete(key);
        const done: Promise<void> = work().finally(() => running.delete(done));
        running.add(done);
      };
      timers.set(key, setTimeout(start, quietMs));
    },
    close: async () => {
      for (const timer of timers.values()) clearTimeout(timer);
      timers.clear();
      await Promise.all(running);
    },
  };
}
