/**
 * Sends at most one value per key in `intervalMs`. It sends the first value at once. Of the values that follow within the interval it sends only
 * the last one, at the interval's end. The last value offered is always sent.
 */
export type Coalescer<T> = {
  offer(key: string, value: T): void;
  /** Whether a value of this key waits to be sent. */
  isWaiting(key: string): boolean;
  /** Sends all waiting values now. */
  flush(): void;
  close(): void;
};

type Slot<T> = { sentAtMs: number; waiting: { value: T } | undefined };

export function createCoalescer<T>(intervalMs: number, send: (value: T) => void): Coalescer<T> {
  const slots = new Map<string, Slot<T>>();
  let timer: NodeJS.Timeout | undefined;

  /** All keys share one timer: 10,000 devices that change at once must not make 10,000 timers. Slots are in the order of `sentAtMs`. */
  const arm = (): void => {
    const next = slots.values().next().value;
    if (timer !== undefined || next === undefined) return;
    timer = setTimeout(
      () => {
        timer = undefined;
        release(performance.now());
        arm();
      },
      Math.max(1, next.sentAtMs + intervalMs - performance.now()),
    );
  };

  const release = (nowMs: number): void => {
    for (const [key, slot] of [...slots]) {
      if (nowMs - slot.sentAtMs < intervalMs) return;
      slots.delete(key);
      if (slot.waiting === undefined) continue;
      slots.set(key, { sentAtMs: nowMs, waiting: undefined });
      send(slot.waiting.value);
    }
  };

  return {
    offer: (key, value) => {
      const slot = slots.get(key);
      if (slot !== undefined) {
        slot.waiting = { value };
        return;
      }
      slots.set(key, { sentAtMs: performance.now(), waiting: undefined });
      send(value);
      arm();
    },
    isWaiting: (key) => slots.get(key)?.waiting !== undefined,
    flush: () => {
      for (const slot of slots.values()) {
        const { waiting } = slot;
        slot.waiting = undefined;
        if (waiting !== undefined) send(waiting.value);
      }
    },
    close: () => {
      clearTimeout(timer);
      timer = undefined;
      slots.clear();
    },
  };
}
