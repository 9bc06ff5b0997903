import { type DeviceKey, nameOf } from '../device/device.ts';

/**
 * Who may be told of a change now. A commit to a whole fleet wakes every device at once; told at once, they would also ask for their bundles and their
 * confirmations at once, and a slow machine would confirm the last ones too late: they would go back from a good commit. So a bounded number is at work at a
 * time, and the next one is told when one has reported how its attempt ended, or works by itself and asks nothing of this process for `idleMs`.
 * The bound is each process's own.
 */
export type Admission = {
  /**
   * Whether the device may be told now. If not, it waits in its queue and `wake` is called once its turn has come, when it is to ask again; asking before
   * that keeps its place. Queues take turns, so that the device of a small change need not wait for a large fleet.
   */
  admit(device: DeviceKey, queue: string, wake: () => void): boolean;
  /** It has nothing to be told any more. */
  withdraw(device: DeviceKey): void;
  /** Does something for a device; as long as that lasts, an admitted one is not silent. */
  serve<T>(device: DeviceKey, work: () => Promise<T>): Promise<T>;
  /** Its attempt has ended: the next one's turn. */
  release(device: DeviceKey): void;
  counts(): { atWork: number; waiting: number };
  close(): Promise<void>;
};

/** `serving`: requests of it that are being answered. `silent`: looks at it since the last one. */
type Place = { serving: number; idleChecks: number };

/**
 * Enough to keep the database's batches full (200 devices' reports each, two at a time), and few enough that a machine which confirms only ten a second
 * does so within the shortest usual confirmation timeout of 60 s, or one that six processes share when it confirms fifty.
 */
const AT_WORK = 500;
const IDLE_MS = 2_000;
/**
 * A device is silent after so many looks in a row, not by the clock: what it asked while this process stood still is read after the first look that
 * follows, and all would seem silent at once just when the process has too much to do.
 */
const IDLE_CHECKS = 4;

export function createAdmission({ atWork = AT_WORK, idleMs = IDLE_MS } = {}): Admission {
  const places = new Map<string, Place>();
  const queues = new Map<string, Map<string, () => void>>();
  const queueOf = new Map<string, string>();
  let timer: NodeJS.Timeout | undefined;

  const admit = (name: string) => {
    places.set(name, { serving: 0, idleChecks: 0 });
    timer ??= setInterval(releaseIdle, idleMs / IDLE_CHECKS);
  };
  const withdraw = (name: string) => {
    const queue = queueOf.get(name);
    if (queue === undefined) return;
    queueOf.delete(name);
    const waiting = queues.get(queue);
    waiting?.delete(name);
    if (waiting?.size === 0) queues.delete(queue);
  };
  const admitNext = () => {
    while (places.size < atWork) {
      const [next] = queues;
      if (next === undefined) return;
      const [queue, waiting] = next;
      const [first] = waiting;
      if (first === undefined) return;
      const [name, wake] = first;
      withdraw(name);
      // To the end of the line of queues.
      if (queues.delete(queue)) queues.set(queue, waiting);
      admit(name);
      wake();
    }
  };
  const release = (name: string) => {
    if (!places.delete(name)) return;
    admitNext();
    if (places.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
  const releaseIdle = () => {
    for (const place of places.values()) place.idleChecks = place.serving > 0 ? 0 : place.idleChecks + 1;
    // The first of the looks may have come at once after its last request.
    const idle = [...places].filter(([, place]) => place.idleChecks > IDLE_CHECKS);
    for (const [name] of idle) release(name);
  };

  return {
    admit: (device, queue, wake) => {
      const name = nameOf(device);
      if (places.has(name)) return true;
      const waitsIn = queueOf.get(name) ?? queue;
      if (places.size < atWork && queues.size === 0) {
        admit(name);
        return true;
      }
      const waiting = queues.get(waitsIn) ?? new Map<string, () => void>();
      queues.set(waitsIn, waiting.set(name, wake));
      queueOf.set(name, waitsIn);
      return false;
    },
    withdraw: (device) => withdraw(nameOf(device)),
    serve: async (device, work) => {
      const place = places.get(nameOf(device));
      if (place === undefined) return work();
      place.serving += 1;
      try {
        return await work();
      } finally {
        place.serving -= 1;
        place.idleChecks = 0;
      }
    },
    release: (device) => release(nameOf(device)),
    counts: () => ({ atWork: places.size, waiting: queueOf.size }),
    close: async () => clearInterval(timer),
  };
}
