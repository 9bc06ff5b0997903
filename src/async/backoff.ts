/** Both in one unit, milliseconds or seconds. The results have the same unit. */
export type BackoffLimits = { base: number; cap?: number };

/** 2^20 times a base exceeds every cap. Larger exponents would only overflow. */
const MAX_DOUBLINGS = 20;

/** Returns the base after the first failure. Each further failure doubles it, up to the cap. */
export function doubled({ base, cap = Number.POSITIVE_INFINITY }: BackoffLimits, failures: number): number {
  return Math.min(cap, base * 2 ** Math.min(failures - 1, MAX_DOUBLINGS));
}

/** Doubles like `doubled`, with the upper half at random, so that callers that fail together do not all retry together. @param random in [0, 1) */
export function backoff(limits: BackoffLimits, failures: number, random = Math.random()): number {
  return jittered(doubled(limits, failures), random);
}

/** Returns half of the value or more, up to all of it. @param random in [0, 1) */
export function jittered(value: number, random = Math.random()): number {
  return value * (0.5 + random / 2);
}

/** Grows by one base per failure, times 0.5 to 1.5. It suits a few attempts within one request. @param random in [0, 1) */
export function linearBackoff(base: number, failures: number, random = Math.random()): number {
  return base * failures * (0.5 + random);
}

/** Returns the value plus or minus 10 %, so that periodic work that starts together spreads out. @param random in [0, 1) */
export function around(value: number, random = Math.random()): number {
  return value * (0.9 + random * 0.2);
}

/** Returns the value or up to 10 % more: for a pause that the other side requests from all clients at once. @param random in [0, 1) */
export function atLeast(value: number, random = Math.random()): number {
  return value * (1 + random / 10);
}
