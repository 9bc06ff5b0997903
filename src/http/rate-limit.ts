import { LRUCache } from 'lru-cache';
import type { Config } from '../config.ts';
import { hashToken } from '../crypto/tokens.ts';
import { Problem } from '../errors.ts';

/** `perSecond` tokens flow in, `burst` at most stand ready; each request takes one. */
export type Rate = { perSecond: number; burst: number };
export type Bucket = { tokens: number; atMs: number };

/** Takes a token if there is one. Pure: the bucket after it, and how long to wait when there is none (0: taken). */
export function takeToken(bucket: Bucket | undefined, rate: Rate, nowMs: number): { bucket: Bucket; waitMs: number } {
  const { tokens, atMs } = bucket ?? { tokens: rate.burst, atMs: nowMs };
  // A clock that steps back brings no tokens and takes none.
  const filled = Math.min(rate.burst, tokens + (Math.max(0, nowMs - atMs) * rate.perSecond) / 1000);
  if (filled >= 1) return { bucket: { tokens: filled - 1, atMs: nowMs }, waitMs: 0 };
  return { bucket: { tokens: filled, atMs: nowMs }, waitMs: Math.ceil(((1 - filled) * 1000) / rate.perSecond) };
}

/** Keys that a limit remembers at once. Beyond it the limit forgets the key that was unused for the longest time, which only helps its owner. */
const MAX_KEYS = 20_000;
/** Longer keys are replaced by their digest. */
const MAX_KEY_CHARACTERS = 128;

export type RateLimit = {
  /** @throws Problem `rate_limited` (429) with the seconds after which the next request would pass */
  take(key: string): void;
  /** Whether `take` would throw. Takes nothing. */
  isExhausted(key: string): boolean;
  /** Keys that are remembered. */
  size(): number;
};

/** Memory is bounded: `MAX_KEYS` keys of `MAX_KEY_CHARACTERS`, each for as long as its bucket is not full again. */
export function createRateLimit(what: string, wanted: Rate, now: () => number = Date.now): RateLimit {
  // A bucket of less than one token would refuse everything.
  const rate = { ...wanted, burst: Math.max(1, wanted.burst) };
  const buckets = new LRUCache<string, Bucket>({ max: MAX_KEYS });
  const fullAfterMs = (rate.burst / rate.perSecond) * 1000;
  let sweptAtMs = now();
  // A full bucket is the same as none. Sweeping at most once per `fullAfterMs` costs each request a constant share.
  const sweep = (nowMs: number) => {
    if (nowMs - sweptAtMs < fullAfterMs) return;
    sweptAtMs = nowMs;
    for (const [key, { atMs }] of buckets) if (nowMs - atMs >= fullAfterMs) buckets.delete(key);
  };
  return {
    take: (key) => {
      const nowMs = now();
      sweep(nowMs);
      const name = boundedKey(key);
      const { bucket, waitMs } = takeToken(buckets.get(name), rate, nowMs);
      buckets.set(name, bucket);
      if (waitMs > 0) throw rateLimited(what, rate, waitMs);
    },
    isExhausted: (key) => takeToken(buckets.get(boundedKey(key)), rate, now()).waitMs > 0,
    size: () => buckets.size,
  };
}

function rateLimited(what: string, { perSecond }: Rate, waitMs: number): Problem {
  return new Problem('rate_limited', `Cannot take so many ${what}: at most ${perSecond} each second`, {
    retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)),
  });
}

/** A copy: a short piece of a long header or path would keep all of it in memory. */
function boundedKey(key: string): string {
  return key.length > MAX_KEY_CHARACTERS ? hashToken(key).toString('base64') : Buffer.from(key).toString();
}

/** Bursts are four seconds' worth. */
const BURST_SECONDS = 4;

/** The limits of one process; several processes each have their own. */
export type RateLimits = {
  /** By token id. */
  token: RateLimit;
  /** By organization and device. */
  device: RateLimit;
  /** By source and sender, of webhooks that were verified: somebody who only knows the URL cannot use up the host's share. */
  hook: RateLimit;
  /**
   * By sender, of requests whose credentials were refused, or which named a hook that does not exist. Valid credentials always pass: they are
   * verified first, and only failures count.
   */
  refusal: RateLimit;
  /** By sender, of pages that are for everybody: `/docs`, `/openapi.json`, `/metrics`. */
  open: RateLimit;
};

/** Pages for everybody, per sender and second: far more than a person or a scraper needs. */
const OPEN_PER_SECOND = 50;

export function createRateLimits(
  config: Pick<Config, 'RATE_LIMIT_TOKEN' | 'RATE_LIMIT_DEVICE' | 'RATE_LIMIT_HOOK' | 'RATE_LIMIT_REFUSED'>,
): RateLimits {
  const rate = (perSecond: number): Rate => ({ perSecond, burst: perSecond * BURST_SECONDS });
  return {
    token: createRateLimit('requests with this token', rate(config.RATE_LIMIT_TOKEN)),
    device: createRateLimit('requests of this device', rate(config.RATE_LIMIT_DEVICE)),
    hook: createRateLimit('webhooks for this source', rate(config.RATE_LIMIT_HOOK)),
    refusal: createRateLimit('requests with wrong credentials', rate(config.RATE_LIMIT_REFUSED)),
    open: createRateLimit('requests without credentials', rate(OPEN_PER_SECOND)),
  };
}

/** The sender of our own look-ups: never refused. */
export const OURSELVES = '';

/** Counts a failure of the sender. @throws `problem`; `rate_limited` instead when the sender has used up its failures */
export function refuse(limits: RateLimits, sender: string, problem: Problem): never {
  limits.refusal.take(sender);
  throw problem;
}
