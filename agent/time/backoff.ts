/*
 * The agent is installed without the service, and imports only its protocol, `src/wire`: its pauses are its own. They begin at nothing, where those of
 * the service begin at half: a fleet that loses its server returns spread over the whole pause.
 */

/** Longest pause between two tries, ms. */
export const BACKOFF_CAP_MS = 60_000;
/** Longest pause that a server may ask for with Retry-After, ms: a wrong header must not silence a device for a day. */
export const RETRY_AFTER_CAP_MS = 300_000;
const BACKOFF_BASE_MS = 500;

/** Full jitter: anything up to the doubled bound, so that a fleet does not come back in step. `attempt` starts at 0. */
export function backoffMs(attempt: number, random: number): number {
  return random * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(attempt, 20));
}

const RETRY_CAP_MS = 15 * 60_000;

/** Pause before try `number` of an attempt, from the second on: doubled each time, the upper half at random. */
export function retryMs(retrySeconds: number, number: number, random: number): number {
  return Math.min(RETRY_CAP_MS, retrySeconds * 1000 * 2 ** Math.min(number - 2, 20)) * (0.5 + random / 2);
}

/** The period give or take 10 %: devices that start together do not stay together. */
export function aroundMs(seconds: number, random: number): number {
  return seconds * 1000 * (0.9 + random / 5);
}

/** Pause before the next try: what the server asked for plus up to a tenth (so that a fleet spreads), or backoff. */
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
