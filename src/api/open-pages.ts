import type { MiddlewareHandler } from 'hono';
import { senderOf } from '../http/address.ts';
import { bearerOf } from '../http/bearer.ts';
import type { Env } from './env.ts';
import type { Services } from './services.ts';

/** For pages that are for everybody. A valid token passes a sender's limit, so that a scraper is not locked out by its neighbours. */
export function limitStrangers({ limits, tokenAuth, config }: Services): MiddlewareHandler<Env> {
  return async (c, next) => {
    const sender = senderOf(c, config.TRUST_PROXY);
    const token = limits.open.isExhausted(sender) ? bearerOf(c.req.header('authorization')) : undefined;
    if (token === undefined || (await tokenAuth.actorOf(token, sender)) === undefined) limits.open.take(sender);
    await next();
  };
}
