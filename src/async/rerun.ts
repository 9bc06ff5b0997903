/** Work that many ask for: it runs once at a time, and once more when somebody asked while it ran. */
export type Rerun = {
  /** @returns resolves when a run that began after this call has ended, and no other is wanted */
  ask(): Promise<void>;
  /** Resolves when nothing runs any more. */
  idle(): Promise<void>;
};

/** @param work must not throw: nobody in particular waits for it. @param isOver ends the runs: what is still wanted is dropped */
export function createRerun(work: () => Promise<void>, isOver: () => boolean = () => false): Rerun {
  let wanted = false;
  let running: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    while (wanted && !isOver()) {
      wanted = false;
      await work();
    }
    // In the same turn as the last look at `wanted`: a call is seen either by this loop or by a new run.
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
