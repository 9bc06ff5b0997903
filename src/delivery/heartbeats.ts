import { LRUCache } from 'lru-cache';
import type { Db } from '../db/connect.ts';
import { countDevices } from '../device/store.ts';

/** Shortest and longest interval between two heartbeats of a device. */
export const HEARTBEAT_SECONDS = 30;
const LONGEST_SECONDS = 600;
/** Heartbeats per second of all devices of an organization, which a service can handle beside its other work. */
const PER_SECOND = 100;
const COUNTED_FOR_MS = 60_000;
const ORGANIZATIONS = 1_000;

/**
 * Returns the seconds between two heartbeats of a device in a fleet of `devices`. They are 30 s up to 3,000 devices, 100 s for 10,000, and never more
 * than ten minutes. Devices of a large fleet may send them less often, since their polls also show that they are online.
 */
export function heartbeatSecondsFor(devices: number): number {
  return Math.min(LONGEST_SECONDS, Math.max(HEARTBEAT_SECONDS, Math.ceil(devices / PER_SECOND)));
}

/** Returns a function that gives the interval for an organization. It counts the organization's devices once a minute. */
export function createHeartbeatPace(sql: Db): (organizationId: string) => Promise<number> {
  const paces = new LRUCache<string, number>({
    max: ORGANIZATIONS,
    ttl: COUNTED_FOR_MS,
    fetchMethod: async (organizationId) => heartbeatSecondsFor(await countDevices(sql, organizationId)),
  });
  return async (organizationId) => (await paces.fetch(organizationId)) ?? HEARTBEAT_SECONDS;
}
