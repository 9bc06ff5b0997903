import { type DeviceKey, nameOf } from '../device/device.ts';

/**
 * Bounds how many devices work on a change at the same time. A commit to a whole fleet wakes every device. If all of them were answered at once, they
 * would also ask for their bundles and their confirmations at once: a slow machine would confirm the last ones too late, and they would roll back a good
 * commit. The next device is admitted when one has reported the end of its attempt, or has sent no request to this process for `silentMs`. Each process
 * has its own bound.
 */
export type Admission = {
  /**
   * Whether the device may get its change now. If not, it waits in its queue, and `wake` is called when its turn has come: then it asks again. A device
   * that asks earlier keeps its place. Queues take turns, so that the device of a small change does not wait for a large fleet.
   */
  admit(device: DeviceKey, queue: string, wake: () => void): boolean;
  /** The device has no change to get any more. */
  withdraw(device: DeviceKey): void;
  /** Does something for a device. An admitted device is not silent while that lasts. */
  serve<T>(device: DeviceKey, work: () => Promise<T>): Promise<T>;
  /** The attempt of the device has ended: it is the next one's turn. */
  leave(device: DeviceKey): void;
  counts(): { atWork: number; waiting: number };
  close(): Promise<void>;
};

/** `serving`: requests of the device under way. `silent`: checks since its last request. */
type Place = { serving: number; silent: number };

/**
 * Enough to keep the database's batches full (200 devices' reports each, two at a time), and few enough that a machine which confirms only ten a second
 * does so within the shortest usual confirmation timeout of 60 s, or one that six processes share when it confirms fifty.
 */
const AT_WORK = 500;
const SILENT_MS = 2_000;
/**
 * A device is silent after this many checks in a row, not after a time: a process that stood still reads the requests of that time only after its first
 * check. By the clock all devices would be silent at once, just when the process has too much to do.
 */
const CHECKS = 4;

export function createAdmission({ atWork = AT_WORK, silentMs = SILENT_MS } = {}): Admission {
  const places = new Map<string, Place>();
  const waiting = createLine();
  let timer: NodeJS.Timeout | undefined;

  const admit = (name: string) => {
    places.set(name, { serving: 0, silent: 0 });
    timer ??= setInterval(releaseSilent, silentMs / CHECKS);
  };
  const admitNext = () => {
    while (places.size < atWork) {
      const next = waiting.takeNext();
      if (next === undefined) return;
      admit(next.name);
      next.wake();
    }
  };
  const release = (name: string) => {
    if (!places.delete(name)) return;
    admitNext();
    if (places.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
  const releaseSilent = () => {
    for (const place of places.values()) place.silent = place.serving > 0 ? 0 : place.silent + 1;
    // The first check may have followed at once after the last request.
    const silent = [...places].filter(([, place]) => place.silent > CHECKS);
    for (const [name] of silent) release(name);
  };

  return {
    admit: (device, queue, wake) => {
      const name = nameOf(device);
      if (places.has(name)) return true;
      if (places.size < atWork && waiting.isEmpty()) {
        admit(name);
        return true;
      }
      waiting.add(name, queue, wake);
      return false;
    },
    withdraw: (device) => waiting.remove(nameOf(device)),
    serve: async (device, work) => {
      const place = places.get(nameOf(device));
      if (place === undefined) return work();
      place.serving += 1;
      try {
        return await work();
      } finally {
        place.serving -= 1;
        place.silent = 0;
      }
    },
    leave: (device) => release(nameOf(device)),
    counts: () => ({ atWork: places.size, waiting: waiting.size() }),
    close: async () => clearInterval(timer),
  };
}

/** Devices that wait, each in one queue. Queues take turns. */
function createLine() {
  const queues = new Map<string, Map<string, () => void>>();
  const queueOf = new Map<string, string>();
  const remove = (name: string) => {
    const queue = queueOf.get(name);
    if (queue === undefined) return;
    queueOf.delete(name);
    const members = queues.get(queue);
    members?.delete(name);
    if (members?.size === 0) queues.delete(queue);
  };
  return {
    /** A device that waits already keeps its place. */
    add: (name: string, queue: string, wake: () => void) => {
      const kept = queueOf.get(name) ?? queue;
      const members = queues.get(kept) ?? new Map<string, () => void>();
      queues.set(kept, members.set(name, wake));
      queueOf.set(name, kept);
    },
    remove,
    /** The first device of the next queue. That queue goes to the end of the line. */
    takeNext: (): { name: string; wake: () => void } | undefined => {
      const [next] = queues;
      if (next === undefined) return undefined;
      const [queue, members] = next;
      const [first] = members;
      if (first === undefined) return undefined;
      const [name, wake] = first;
      remove(name);
      if (queues.delete(queue)) queues.set(queue, members);
      return { name, wake };
    },
    isEmpty: () => queues.size === 0,
    size: () => queueOf.size,
  };
}
