/** A source of time, which tests drive. */
export type Clock = { now(): Date };

export const systemClock: Clock = { now: () => new Date() };

/**
 * Time for a device that may have no clock. The agent uses the server's time if the difference is larger than the precision of a Date header
 * and a slow answer explain. A false server time gains an attacker little. Expiry only limits how long somebody can withhold a state, the
 * sequence excludes older ones, and time never falls behind the newest `issuedAt` that was signed and accepted.
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
