import { batched } from '../async/batch.ts';
import type { Sql } from '../db/connect.ts';
import type { Notifier } from '../db/notifier.ts';
import { type DeviceKey, nameOf } from '../device/device.ts';
import { DEVICES_CHANNEL } from '../event/store.ts';
import type { Desired } from './desired.ts';
import { loadDesired } from './desired-store.ts';
import { createHeartbeatPace, HEARTBEAT_SECONDS } from './heartbeats.ts';

/**
 * The long polls of this process, by device. A change in any process arrives by NOTIFY. After a reconnect all polls are woken, since notifications
 * may have been missed.
 */
export type Wakeups = {
  /**
   * Calls `wake` whenever the device may have changed, and when this process stops. Call it before loading the state, so that no change is missed in
   * between. @returns the function that ends it
   */
  listen(key: DeviceKey, wake: () => void): () => void;
  /** Loads the desired state. Simultaneous calls share a query. */
  load(key: DeviceKey): Promise<Desired | undefined>;
  /** Does the same with a short delay after the first call, so that the steady single polls of an idle fleet share queries. */
  loadSoon(key: DeviceKey): Promise<Desired | undefined>;
  waiting(): number;
  /** Whether `close` was called. No poll may wait then. */
  closing(): boolean;
  /** Wakes all polls a last time, since the process stops. */
  close(): Promise<void>;
};

export async function openWakeups(sql: Sql, notifier: Notifier): Promise<Wakeups> {
  const waiters = new Map<string, readonly (() => void)[]>();
  const paceOf = createHeartbeatPace(sql);
  let closed = false;
  const wakeAll = () => {
    for (const wakes of [...waiters.values()]) for (const wake of wakes) wake();
  };
  const unsubscribe = await notifier.subscribe(DEVICES_CHANNEL, {
    onNotify: (payload) => {
      const [organizationId, ...ids] = payload.split(' ');
      for (const id of ids) for (const wake of waiters.get(`${organizationId} ${id}`) ?? []) wake();
    },
    onMissed: wakeAll,
  });
  const loadAll = async (keys: readonly DeviceKey[]) => {
    const loaded = await loadDesired(sql, keys);
    const organizations = [...new Set(loaded.map(({ organizationId }) => organizationId))];
    const paces = new Map(await Promise.all(organizations.map(async (id) => [id, await paceOf(id)] as const)));
    const found = new Map(loaded.map((desired) => [nameOf(desired), desired]));
    return keys.map((key) => {
      const desired = found.get(nameOf(key));
      return desired && { ...desired, heartbeatSeconds: paces.get(key.organizationId) ?? HEARTBEAT_SECONDS };
    });
  };
  return {
    listen: (key, wake) => {
      const name = nameOf(key);
      waiters.set(name, [...(waiters.get(name) ?? []), wake]);
      return () => {
        const left = (waiters.get(name) ?? []).filter((other) => other !== wake);
        if (left.length === 0) waiters.delete(name);
        else waiters.set(name, left);
      };
    },
    load: batched(BATCH, loadAll),
    loadSoon: batched(BATCH, loadAll, GATHER_MS),
    waiting: () => waiters.size,
    closing: () => closed,
    close: async () => {
      closed = true;
      wakeAll();
      unsubscribe();
    },
  };
}

/** Devices per query. */
const BATCH = 500;
/** Short compared with the seconds that a poll waits. Of ten thousand devices that poll once a minute, eight poll in this time. */
const GATHER_MS = 50;
