/** In one unit, milliseconds or seconds; the results have the same. */
export type BackoffLimits = { base: number; cap?: number };

/** 2^20 times a base exceeds every cap; larger exponents would only overflow. */
const MAX_DOUBLINGS = 20;

/** The base after the first failure, doubled by each further one, up to the cap. */
export function doubled({ base, cap = Number.POSITIVE_INFINITY }: BackoffLimits, failures: number): number {
  return Math.min(cap, base * 2 ** Math.min(failures - 1, MAX_DOUBLINGS));
}

/** Doubles like `doubled`, with the upper half at random: many that fail together do not all return together. @param random in [0, 1) */
export function backoff(limits: BackoffLimits, failures: number, random = Math.random()): number {
  return jittered(doubled(limits, failures), random);
}

/** Half of the value or more, by `random` in [0, 1). */
export function jittered(value: number, random = Math.random()): number {
  return value * (0.5 + random / 2);
}

/** Grows by one base per failure, from half to one and a half of it: for a few tries within one request. @param random in [0, 1) */
export function linearBackoff(base: number, failures: number, random = Math.random()): number {
  return base * failures * (0.5 + random);
}

/** The value give or take 10 %: work of one period that starts together spreads out. @param random in [0, 1) */
export function around(value: number, random = Math.random()): number {
  return value * (0.9 + random * 0.2);
}

/** The value or up to 10 % more: for a pause that the other side asks for, of everybody at once. @param random in [0, 1) */
export function atLeast(value: number, random = Math.random()): number {
  return value * (1 + random / 10);
}
