import PQueue from 'p-queue';
import { within } from '../async/deadline.ts';

/** Bounds the calls in flight. Slow calls run in a bulkhead of their own, so that they never block fast ones. */
export type Slots = {
  /**
   * @param isSlow the caller's last call failed, so this call takes a slow slot
   * @param signal ends the wait for a slot with the signal's reason
   */
  run<T>(isSlow: boolean, work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
};

/** A call that lasts longer moves to a slow slot as soon as one is free. Listing refs usually takes about 50 ms. */
const FAST_MS = 2_000;

/** Opens `concurrency` fast slots and as many slow ones. */
export function openSlots(concurrency: number, fastMs = FAST_MS): Slots {
  const fast = new PQueue({ concurrency });
  const slow = new PQueue({ concurrency });
  const holdFastSlot = async (outcome: Promise<unknown>) => {
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
        return holdFastSlot(outcome);
      };
      fast.add(started, { signal }).catch(reject);
      return promise;
    },
  };
}
