import type { MiddlewareHandler } from 'hono';
import type { Config } from '../config.ts';
import { senderOf } from '../http/address.ts';
import { bearerOf } from '../http/bearer.ts';
import type { RateLimits } from '../http/rate-limit.ts';
import type { Env } from './env.ts';
import type { OperatorAuth } from './operator-auth.ts';

type Deps = { limits: RateLimits; operatorAuth: OperatorAuth; config: Pick<Config, 'TRUST_PROXY'> };

/** Limits requests for public pages by sender. A valid token passes, so that neighbours of a scraper cannot lock it out. */
export function limitStrangers({ limits, operatorAuth, config }: Deps): MiddlewareHandler<Env> {
  return async (c, next) => {
    const sender = senderOf(c, config.TRUST_PROXY);
    const token = limits.open.isExhausted(sender) ? bearerOf(c.req.header('authorization')) : undefined;
    if (token === undefined || (await operatorAuth.actorOf({ via: 'token', secret: token }, sender)) === undefined)
      limits.open.take(sender);
    await next();
  };
}
