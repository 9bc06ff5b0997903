/*
 * The agent is installed without the service and imports only its protocol, `src/wire`, so it has its own back-off. Its pauses begin at 0, those
 * of the service at half: a fleet that lost its server returns spread over the whole pause.
 */

/** Longest pause between two tries, ms. */
export const BACKOFF_CAP_MS = 60_000;
/** Longest pause that the agent accepts from Retry-After, ms: a wrong header must not silence a device for a day. */
export const RETRY_AFTER_CAP_MS = 300_000;
const BACKOFF_BASE_MS = 500;

/** Full jitter: a random pause up to the doubled bound, so that the devices of a fleet do not retry at once. `attempt` starts at 0. */
export function backoffMs(attempt: number, random: number): number {
  return random * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(attempt, 20));
}

const RETRY_CAP_MS = 15 * 60_000;

/** Pause before try `number` (2 or higher) of an attempt, ms: doubled each time, of which the upper half is random. */
export function retryMs(retrySeconds: number, number: number, random: number): number {
  return Math.min(RETRY_CAP_MS, retrySeconds * 1000 * 2 ** Math.min(number - 2, 20)) * (0.5 + random / 2);
}

/** The period ± 10 %, ms, so that devices that started together do not stay synchronised. */
export function aroundMs(seconds: number, random: number): number {
  return seconds * 1000 * (0.9 + random / 5);
}

/** Pause before the next try, ms: the server's Retry-After plus up to 10 % (so that a fleet spreads), or a back-off. */
export function pauseMs(attempt: number, retryAfterSeconds: number | undefined, random: number): number {
  if (retryAfterSeconds === undefined) return backoffMs(attempt, random);
  return Math.min(RETRY_AFTER_CAP_MS, retryAfterSeconds * 1000 * (1 + random / 10));
}

/** Seconds of a Retry-After header, which is a number or an HTTP date. */
export function parseRetryAfter(value: string | undefined, now: Date): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value);
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, (at - now.getTime()) / 1000);
}
