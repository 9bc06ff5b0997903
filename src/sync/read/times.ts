import type { Platform, RemoteDevice } from '../../integration/provider.ts';

/** A clock there may be a little ahead of the one here. */
const AHEAD_MS = 300_000;
/** The database cannot read larger years. A time in seconds that is taken for milliseconds has one. */
const LAST_MS = Date.UTC(9999, 11, 31);

/** The same platform, whose devices have no times that cannot be true. */
export function withTrueTimes(platform: Platform): Platform {
  const { list, read, create, update } = platform;
  return {
    ...platform,
    ...(list && {
      list: async (cursor, signal) => {
        const page = await list.call(platform, cursor, signal);
        return { ...page, devices: page.devices.map((device) => trueTimes(device)) };
      },
    }),
    ...(read && {
      read: async (externalId, signal) => {
        const device = await read.call(platform, externalId, signal);
        return device && trueTimes(device);
      },
    }),
    ...(create && { create: async (device, signal) => trueTimes(await create.call(platform, device, signal)) }),
    ...(update && { update: async (externalId, changes, signal) => trueTimes(await update.call(platform, externalId, changes, signal)) }),
  };
}

/**
 * Corrects times of a clock that is wrong. A device was seen now at the latest: a later time would stay its last one until then. A change in the future
 * would win over every edit here, so that its time counts as unknown.
 */
export function trueTimes(device: RemoteDevice, nowMs = Date.now()): RemoteDevice {
  const { lastSeenAt, updatedAt, verdict } = device;
  const seenAt = known(lastSeenAt, LAST_MS);
  return {
    ...device,
    lastSeenAt: seenAt !== null && seenAt.getTime() > nowMs ? new Date(nowMs) : seenAt,
    updatedAt: known(updatedAt, nowMs + AHEAD_MS),
    ...(verdict && { verdict: { ...verdict, at: known(verdict.at, LAST_MS) } }),
  };
}

/** Platforms write year 0, 1 or 1970 for "never". */
function known(time: Date | null, latestMs: number): Date | null {
  return time !== null && time.getTime() > 0 && time.getTime() <= latestMs ? time : null;
}
