import { getConnInfo } from '@hono/node-server/conninfo';
import type { Context } from 'hono';
import { LRUCache } from 'lru-cache';
import type { Config } from '../config.ts';
import { Problem } from '../errors.ts';
import type { Env } from './api.ts';

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

/** Keys remembered at once; beyond it the longest unused is forgotten, which only ever helps its owner. */
const MAX_KEYS = 50_000;

export type RateLimit = {
  /** @throws Problem `rate_limited` (429) with the seconds after which the next request would pass */
  take(key: string): void;
  /** Throws as `take`, and takes nothing. */
  check(key: string): void;
};

export function createRateLimit(what: string, rate: Rate, now: () => number = Date.now): RateLimit {
  const buckets = new LRUCache<string, Bucket>({ max: MAX_KEYS });
  const refuse = (waitMs: number) => {
    if (waitMs === 0) return;
    throw new Problem('rate_limited', `Cannot take so many ${what}: at most ${rate.perSecond} each second`, {
      status: 429,
      retry: 'backoff',
      retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)),
    });
  };
  return {
    take: (key) => {
      const { bucket, waitMs } = takeToken(buckets.get(key), rate, now());
      buckets.set(key, bucket);
      refuse(waitMs);
    },
    check: (key) => refuse(takeToken(buckets.get(key), rate, now()).waitMs),
  };
}

/** Bursts are four seconds' worth. */
const BURST_SECONDS = 4;

/** The limits of one process; several processes each have their own. */
export type RateLimits = {
  /** By token id. */
  token: RateLimit;
  /** By organization and device. */
  device: RateLimit;
  /** By source and sender's address: one who only knows the URL cannot use up the host's share. */
  hook: RateLimit;
  /** By address, of requests whose credentials were refused: who has used it up is not even looked up. */
  refusal: RateLimit;
};

export function createRateLimits(
  config: Pick<Config, 'RATE_LIMIT_TOKEN' | 'RATE_LIMIT_DEVICE' | 'RATE_LIMIT_HOOK' | 'RATE_LIMIT_REFUSED'>,
): RateLimits {
  const rate = (perSecond: number): Rate => ({ perSecond, burst: perSecond * BURST_SECONDS });
  return {
    token: createRateLimit('requests with this token', rate(config.RATE_LIMIT_TOKEN)),
    device: createRateLimit('requests of this device', rate(config.RATE_LIMIT_DEVICE)),
    hook: createRateLimit('webhooks for this source', rate(config.RATE_LIMIT_HOOK)),
    refusal: createRateLimit('requests with wrong credentials', rate(config.RATE_LIMIT_REFUSED)),
  };
}

/** Who is at the other end: the connection's address, or what a trusted proxy in front says it was. */
export function addressOf(c: Context<Env>, trustProxy: boolean): string {
  const forwarded = trustProxy ? c.req.header('x-forwarded-for')?.split(',').at(-1)?.trim() : undefined;
  return forwarded || (getConnInfo(c).remote.address ?? 'unknown');
}
