import PQueue from 'p-queue';
import { within } from '../async/deadline.ts';

/** How many calls may be under way at once, and which of them hold up others. */
export type Slots = {
  /**
   * @param isSlow the caller's last call failed: it takes no slot that a healthy caller could need
   * @param signal gives up waiting for a slot, with its reason
   */
  run<T>(isSlow: boolean, work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
};

/** A call that lasts longer gives up its slot, as soon as one of the slow slots is free. A list of refs usually takes some 50 ms. */
const FAST_MS = 2_000;

/** `concurrency` fast slots and as many slow ones. */
export function openSlots(concurrency: number, fastMs = FAST_MS): Slots {
  const fast = new PQueue({ concurrency });
  const slow = new PQueue({ concurrency });
  const holdSlot = async (outcome: Promise<unknown>) => {
    const settled = outcome.then(
      () => true,
      () => true,
    );
    while ((await within(fastMs, settled)) === undefined) {
      if (slow.pending + slow.size < concurrency) return void slow.add(() => settled);
    }
  };
  return {
    run: <T>(isSlow: boolean, work: () => Promise<T>, signal?: AbortSignal) => {
      if (isSlow) return slow.add(work, { signal });
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      const started = () => {
        const outcome = work();
        outcome.then(resolve, reject);
        return holdSlot(outcome);
      };
      fast.add(started, { signal }).catch(reject);
      return promise;
    },
  };
}
