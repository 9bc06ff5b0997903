/** Often enough for what nobody announces: a job that is tried again, or that was handed back. */
const REST_MS = 2_000;

/** Who looks for work that is not announced: of all workers of a queue that are idle, one at a time. */
export type Looks = {
  /** The worker has begun a job. */
  busy(worker: string): void;
  /** The worker is there, or has done its job. */
  idle(worker: string): void;
  stop(): void;
};

/**
 * Work is announced, and announcements wake every idle worker of the queue. What is not announced has to be looked for; if each worker did that by
 * itself, a service with nothing to do would ask its database as often as it has workers. `wake` lets one worker look.
 */
export function startLooks(wake: (worker: string) => void): Looks {
  const waiting = new Set<string>();
  const timer = setInterval(() => {
    const [first] = waiting;
    if (first === undefined) return;
    // To the end of the line: one whose question gets no answer must not be the only one that asks.
    waiting.delete(first);
    waiting.add(first);
    wake(first);
  }, REST_MS);
  return {
    busy: (worker) => void waiting.delete(worker),
    idle: (worker) => void waiting.add(worker),
    stop: () => clearInterval(timer),
  };
}
