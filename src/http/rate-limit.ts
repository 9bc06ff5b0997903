import { LRUCache } from 'lru-cache';
import type { Config } from '../config.ts';
import { hashToken } from '../crypto/tokens.ts';
import { Problem } from '../errors.ts';

/** Token bucket: `perSecond` tokens are added, `burst` is its capacity, and each request takes one token. */
export type Rate = { perSecond: number; burst: number };
export type Bucket = { tokens: number; atMs: number };

/** Takes a token if one is available. Pure: returns the new bucket and how long to wait without a token (0: taken). */
export function takeToken(bucket: Bucket | undefined, rate: Rate, nowMs: number): { bucket: Bucket; waitMs: number } {
  const { tokens, atMs } = bucket ?? { tokens: rate.burst, atMs: nowMs };
  // A clock that steps back neither adds nor removes tokens.
  const filled = Math.min(rate.burst, tokens + (Math.max(0, nowMs - atMs) * rate.perSecond) / 1000);
  if (filled >= 1) return { bucket: { tokens: filled - 1, atMs: nowMs }, waitMs: 0 };
  return { bucket: { tokens: filled, atMs: nowMs }, waitMs: Math.ceil(((1 - filled) * 1000) / rate.perSecond) };
}

/** Keys that a limit keeps at once. Beyond that it drops the least recently used key, which only favours that key's owner. */
const MAX_KEYS = 20_000;
/** Longer keys are replaced by their digest. */
const MAX_KEY_CHARACTERS = 128;

export type RateLimit = {
  /** @throws Problem `rate_limited` (429) with the seconds until the next request passes */
  take(key: string): void;
  /** Takes no token. @throws as `take` would */
  check(key: string): void;
  /** Takes a token if there is one. @returns whether there was one */
  tryTake(key: string): boolean;
  /** Whether `take` would throw. It takes no token. */
  isExhausted(key: string): boolean;
  /** Number of keys that the limit keeps. */
  size(): number;
};

/** Bounds memory: it keeps at most `MAX_KEYS` keys of `MAX_KEY_CHARACTERS`, each until its bucket is full again. */
export function createRateLimit(what: string, wanted: Rate, now: () => number = Date.now): RateLimit {
  // A bucket with a capacity of less than one token would refuse all requests.
  const rate = { ...wanted, burst: Math.max(1, wanted.burst) };
  const buckets = new LRUCache<string, Bucket>({ max: MAX_KEYS });
  const fullAfterMs = (rate.burst / rate.perSecond) * 1000;
  let sweptAtMs = now();
  // A full bucket equals a missing one. A sweep at most once per `fullAfterMs` costs each request a constant share.
  const sweep = (nowMs: number) => {
    if (nowMs - sweptAtMs < fullAfterMs) return;
    sweptAtMs = nowMs;
    for (const [key, { atMs }] of buckets) if (nowMs - atMs >= fullAfterMs) buckets.delete(key);
  };
  const take = (key: string): number => {
    const nowMs = now();
    sweep(nowMs);
    const name = boundedKey(key);
    const { bucket, waitMs } = takeToken(buckets.get(name), rate, nowMs);
    buckets.set(name, bucket);
    return waitMs;
  };
  const waitMsOf = (key: string) => takeToken(buckets.get(boundedKey(key)), rate, now()).waitMs;
  const refuseAfter = (waitMs: number) => {
    if (waitMs > 0) throw rateLimited(what, rate, waitMs);
  };
  return {
    take: (key) => refuseAfter(take(key)),
    check: (key) => refuseAfter(waitMsOf(key)),
    tryTake: (key) => take(key) === 0,
    isExhausted: (key) => waitMsOf(key) > 0,
    size: () => buckets.size,
  };
}

function rateLimited(what: string, { perSecond }: Rate, waitMs: number): Problem {
  return new Problem('rate_limited', `Cannot take so many ${what}: at most ${perSecond} each second`, {
    retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)),
  });
}

/** Copies the key, since a short substring of a long header or path would keep all of it in memory. */
function boundedKey(key: string): string {
  return key.length > MAX_KEY_CHARACTERS ? hashToken(key).toString('base64') : Buffer.from(key).toString();
}

/** A burst may use the tokens of four seconds. */
const BURST_SECONDS = 4;

/** Rate limits of one process. Each process has its own. */
export type RateLimits = {
  /** Key: token id. */
  token: RateLimit;
  /** Key: organization and device. */
  device: RateLimit;
  /** Key: source and sender. It counts verified webhooks only, so that a sender that only knows the URL cannot use up the host's share. */
  hook: RateLimit;
  /**
   * Key: sender. It counts requests whose credentials were refused or whose webhook does not exist. Requests with valid credentials always pass,
   * since they are verified first and only failures count.
   */
  refusal: RateLimit;
  /** Key: sender. It counts requests for public pages: `/docs`, `/openapi.json`, `/metrics`. */
  open: RateLimit;
};

/** Requests for public pages per sender and second: far more than a person or a scraper needs. */
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

/** Sender of the service's own queries, which are never refused. */
export const OURSELVES = '';

/** Counts a failure of the sender. @throws `problem`, or `rate_limited` when the sender has used up its failures */
export function refuse(limits: RateLimits, sender: string, problem: Problem): never {
  limits.refusal.take(sender);
  throw problem;
}
