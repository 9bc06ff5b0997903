/** Where "now" comes from; tests drive it. */
export type Clock = { now(): Date };

export const systemClock: Clock = { now: () => new Date() };

/**
 * Time for a device that may have no clock. The server's time is taken where ours differs from it by more than a Date header's precision
 * and a slow answer explain. A server that lies about it gains little: expiry only limits how long a desired state may be held back, an
 * older one is refused by its sequence, and time never falls behind the newest `issuedAt` that was signed and accepted.
 */
export type DeviceClock = Clock & { learn(serverTime: Date): void; atLeast(signedTime: Date): void };

const TOLERATED_DIFFERENCE_MS = 30_000;

export function createDeviceClock(system: Clock): DeviceClock {
  let offsetMs = 0;
  let floorMs = 0;
  const now = () => new Date(Math.max(floorMs, system.now().getTime() + offsetMs));
  return {
    now,
    learn(serverTime) {
      const difference = serverTime.getTime() - system.now().getTime();
      if (Number.isNaN(difference)) return;
      if (Math.abs(difference - offsetMs) > TOLERATED_DIFFERENCE_MS)
        offsetMs = Math.abs(difference) > TOLERATED_DIFFERENCE_MS ? difference : 0;
    },
    atLeast(signedTime) {
      if (signedTime.getTime() > floorMs) floorMs = signedTime.getTime();
    },
  };
}
