/** Polling interval for jobs that are not announced: a retried job, or one that a stopping process returned to the queue. */
const REST_MS = 2_000;

/** Decides which idle worker of a queue polls for work, and when. One worker polls at a time. */
export type Polls = {
  /** The database announced a job. */
  announced(): void;
  /** The worker has begun a job. */
  busy(worker: string): void;
  /** The worker has started or finished a job. It polls for the next one by itself. */
  idle(worker: string): void;
  close(): Promise<void>;
};

/**
 * If every idle worker polled at each announcement, most of them would find the job taken. At a few hundred announcements a second, these polls would
 * be most of the database's load. `wake` lets one worker poll. A worker that found a job wakes the next, since several jobs may have been announced at
 * once. One worker also polls every 2 s for jobs that are not announced.
 */
export function startPolls(wake: (worker: string) => void): Polls {
  const waiting = new Set<string>();
  const wakeNext = () => {
    const [first] = waiting;
    if (first === undefined) return;
    // To the end of the line, so that a worker whose poll gets no answer is not the only one that polls.
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
