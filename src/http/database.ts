import type { MiddlewareHandler } from 'hono';
import type { Availability } from '../db/availability.ts';
import { Problem } from '../errors.ts';
import type { KitEnv } from './kit.ts';

const RETRY_AFTER_SECONDS = 5;

export function databaseAway(cause?: unknown): Problem {
  return new Problem('unavailable', 'Cannot answer now: the database is unavailable', { retryAfterSeconds: RETRY_AFTER_SECONDS, cause });
}

/**
 * Answers 503 at once while the database is unavailable, instead of letting requests wait for a connection. Requests in flight get the same answer
 * when the database is lost; their effects may still be committed. `waits` names the paths whose requests wait for something else.
 */
export function requireDatabase(database: Availability, waits: (path: string) => boolean): MiddlewareHandler<KitEnv> {
  return async (c, next) => {
    if (!database.isUp()) throw databaseAway();
    if (waits(c.req.path)) return next();
    let stop = (): void => undefined;
    const lost = new Promise<never>((_resolve, reject) => {
      stop = database.onLost(() => reject(databaseAway()));
    });
    await Promise.race([next(), lost]).finally(() => stop());
  };
}
