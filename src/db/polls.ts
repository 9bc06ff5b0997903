/** Often enough for what nobody announces: a job that is tried again, or that was handed back. */
const REST_MS = 2_000;

/** Which of a queue's idle workers asks for work, and when: one at a time. */
export type Polls = {
  /** There is work. */
  announced(): void;
  /** The worker has begun a job. */
  busy(worker: string): void;
  /** The worker is there, or has done its job; it asks for the next one by itself. */
  idle(worker: string): void;
  close(): Promise<void>;
};

/**
 * If every idle worker asked whenever work is announced, most of them would find it taken: at some hundred announcements a second their questions
 * would be most of the database's work. `wake` lets one worker ask. One that found a job wakes the next, since several may have been announced at
 * once; and one of them polls for what nobody announces.
 */
export function startPolls(wake: (worker: string) => void): Polls {
  const waiting = new Set<string>();
  const wakeNext = () => {
    const [first] = waiting;
    if (first === undefined) return;
    // To the end of the line: one whose question gets no answer must not be the only one that asks.
    waiting.delete(first);
    waiting.add(first);
    wake(first);
  };
  const timer = setInterval(wakeNext, REST_MS);
  return {
    announced: wakeNext,
    busy: (worker) => {
      waiting.delete(worker);
      wakeNext();
    },
    idle: (worker) => void waiting.add(worker),
    close: async () => clearInterval(timer),
  };
}
