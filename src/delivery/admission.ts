import { type DeviceKey, nameOf } from '../device/device.ts';

/**
 * Limits how many devices work on a change at once. A commit to a whole fleet wakes every device. If all were admitted together, they would also
 * request their bundles and confirmations together. A slow machine would then confirm the last ones too late, and they would roll back a good commit.
 * The next device is admitted when another one has reported the end of its attempt, or has sent no request to this process for `idleMs`.
 * The limit applies per process.
 */
export type Admission = {
  /**
   * Whether the device may get its desired state now. If not, it waits in its queue. `wake` is called once its turn has come; then call `admit` again.
   * Earlier calls keep its place. Queues take turns, so that the device of a small change does not wait for a large fleet.
   */
  admit(device: DeviceKey, queue: string, wake: () => void): boolean;
  /** Removes the device from its queue, since its desired state no longer differs. */
  withdraw(device: DeviceKey): void;
  /** Runs work for a device. An admitted device does not count as idle meanwhile. */
  serve<T>(device: DeviceKey, work: () => Promise<T>): Promise<T>;
  /** Ends the device's turn after its attempt, and admits the next device. */
  release(device: DeviceKey): void;
  counts(): { atWork: number; waiting: number };
  close(): Promise<void>;
};

/** `serving`: requests of the device in progress. `idleChecks`: checks since its last request. */
type Place = { serving: number; idleChecks: number };

/**
 * Enough to fill the database's batches: two at a time with the reports of 200 devices each. Few enough for a machine that confirms only ten devices a
 * second: it stays within the shortest usual confirmation timeout of 60 s. So does a machine that six processes share and that confirms fifty a second.
 */
const AT_WORK = 500;
const IDLE_MS = 2_000;
/**
 * A device is idle after this many checks in a row, not by the clock. A blocked process reads the requests that arrived meanwhile only after its next
 * check. By the clock, all devices would then seem idle at once, just when the process is overloaded.
 */
const IDLE_CHECKS = 4;

export function createAdmission({ atWork = AT_WORK, idleMs = IDLE_MS } = {}): Admission {
  const places = new Map<string, Place>();
  const waiting = createLine();
  let timer: NodeJS.Timeout | undefined;

  const admit = (name: string) => {
    places.set(name, { serving: 0, idleChecks: 0 });
    timer ??= setInterval(releaseIdle, idleMs / IDLE_CHECKS);
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
  const releaseIdle = () => {
    for (const place of places.values()) place.idleChecks = place.serving > 0 ? 0 : place.idleChecks + 1;
    // The first check may have run right after the device's last request, so one more is needed.
    const idle = [...places].filter(([, place]) => place.idleChecks > IDLE_CHECKS);
    for (const [name] of idle) release(name);
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
        place.idleChecks = 0;
      }
    },
    release: (device) => release(nameOf(device)),
    counts: () => ({ atWork: places.size, waiting: waiting.size() }),
    close: async () => clearInterval(timer),
  };
}

/** Waiting devices, each in one queue. Queues take turns. */
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
    /** Adds a device. One that waits already keeps its place. */
    add: (name: string, queue: string, wake: () => void) => {
      const kept = queueOf.get(name) ?? queue;
      const members = queues.get(kept) ?? new Map<string, () => void>();
      queues.set(kept, members.set(name, wake));
      queueOf.set(name, kept);
    },
    remove,
    /** Removes and returns the first device of the next queue, and moves that queue behind all others. */
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
