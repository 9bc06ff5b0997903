/** Work that many callers request. One run is active at a time. Requests during a run cause exactly one more run. */
export type Rerun = {
  /** @returns resolves when a run that began after this call has ended and no other run is requested */
  ask(): Promise<void>;
  /** Resolves when no run is active. */
  idle(): Promise<void>;
};

/** @param work must not throw, since no single caller owns a run @param isOver ends the runs and drops requests that are left */
export function createRerun(work: () => Promise<void>, isOver: () => boolean = () => false): Rerun {
  let wanted = false;
  let running: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    while (wanted && !isOver()) {
      wanted = false;
      await work();
    }
    // In the same turn as the last check of `wanted`, so that either this loop or a new run handles each call.
    running = undefined;
  };
  return {
    ask: () => {
      wanted = true;
      running ??= run();
      return running;
    },
    idle: async () => {
      await running;
    },
  };
}
