import { LRUCache } from 'lru-cache';
import type { Db } from '../db/connect.ts';
import { countDevices } from '../device/store.ts';

/** Between two heartbeats of a device, at least and at most. */
export const HEARTBEAT_SECONDS = 30;
const LONGEST_SECONDS = 600;
/** Heartbeats of all devices of an organization: what a service takes in beside everything else. */
const PER_SECOND = 100;
const COUNTED_FOR_MS = 60_000;
const ORGANIZATIONS = 1_000;

/**
 * Seconds between two heartbeats of a device, in a fleet of `devices`: a large one need not say that it is there as often, since polls say so as well.
 * 30 s up to 3,000 devices, 100 s for 10,000, never more than ten minutes.
 */
export function heartbeatSecondsFor(devices: number): number {
  return Math.min(LONGEST_SECONDS, Math.max(HEARTBEAT_SECONDS, Math.ceil(devices / PER_SECOND)));
}

/** Tells the interval for an organization; its devices are counted once a minute. */
export function createHeartbeatPace(sql: Db): (organizationId: string) => Promise<number> {
  const paces = new LRUCache<string, number>({
    max: ORGANIZATIONS,
    ttl: COUNTED_FOR_MS,
    fetchMethod: async (organizationId) => heartbeatSecondsFor(await countDevices(sql, organizationId)),
  });
  return async (organizationId) => (await paces.fetch(organizationId)) ?? HEARTBEAT_SECONDS;
}
