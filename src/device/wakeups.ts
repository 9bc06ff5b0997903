import type { Sql } from '../db/connect.ts';
import { DEVICES_CHANNEL } from '../db/transact.ts';
import { type Desired, type DeviceKey, loadDesired } from './desired.ts';

/**
 * The long polls of this process: who waits for a change of what device. A change anywhere arrives by NOTIFY; after a broken connection
 * everybody is woken, since something may have been missed.
 */
export type Wakeups = {
  /** Resolves when the device is woken, `timeoutMs` are over or the signal aborts. Register before looking at the state, so that no change slips between. */
  wait(key: DeviceKey, timeoutMs: number, signal: AbortSignal): Promise<void>;
  /** Looks up the desired state; calls of the same moment share one query. */
  load(key: DeviceKey): Promise<Desired | undefined>;
  waiting(): number;
  /** Whether `close` was called: nobody waits any more. */
  closing(): boolean;
  /** Lets go of all waiters, now and from now on: the process is stopping. */
  close(): Promise<void>;
};

export async function openWakeups(sql: Sql, listenSql: Sql): Promise<Wakeups> {
  const waiters = new Map<string, Set<() => void>>();
  let closed = false;
  const wakeAll = () => {
    for (const set of [...waiters.values()]) for (const wake of [...set]) wake();
  };
  const listener = await listenSql.listen(
    DEVICES_CHANNEL,
    (payload) => {
      const [organizationId, ...ids] = payload.split(' ');
      for (const id of ids) for (const wake of [...(waiters.get(`${organizationId} ${id}`) ?? [])]) wake();
    },
    wakeAll,
  );
  return {
    wait: (key, timeoutMs, signal) =>
      new Promise((resolve) => {
        if (closed || signal.aborted) return resolve();
        const name = nameOf(key);
        const set = waiters.get(name) ?? new Set();
        const wake = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', wake);
          set.delete(wake);
          if (set.size === 0) waiters.delete(name);
          resolve();
        };
        const timer = setTimeout(wake, timeoutMs);
        signal.addEventListener('abort', wake, { once: true });
        set.add(wake);
        waiters.set(name, set);
      }),
    load: batched(sql),
    waiting: () => waiters.size,
    closing: () => closed,
    close: async () => {
      closed = true;
      wakeAll();
      await listener.unlisten();
    },
  };
}

/** Devices per query. */
const BATCH = 500;

type Pending = { key: DeviceKey; resolve: (desired: Desired | undefined) => void; reject: (error: unknown) => void };

function batched(sql: Sql): (key: DeviceKey) => Promise<Desired | undefined> {
  let pending: Pending[] = [];
  const flush = async () => {
    const batch = pending;
    pending = [];
    for (let start = 0; start < batch.length; start += BATCH) await answer(sql, batch.slice(start, start + BATCH));
  };
  return (key) =>
    new Promise((resolve, reject) => {
      pending.push({ key, resolve, reject });
      if (pending.length === 1) setImmediate(() => void flush());
    });
}

async function answer(sql: Sql, batch: readonly Pending[]): Promise<void> {
  try {
    const unique = [...new Map(batch.map(({ key }) => [nameOf(key), key])).values()];
    const found = new Map((await loadDesired(sql, unique)).map((desired) => [nameOf(desired), desired]));
    for (const { key, resolve } of batch) resolve(found.get(nameOf(key)));
  } catch (error) {
    for (const { reject } of batch) reject(error);
  }
}

function nameOf(key: DeviceKey): string {
  return `${key.organizationId} ${key.deviceId}`;
}
