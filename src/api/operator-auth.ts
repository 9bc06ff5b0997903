import type { MiddlewareHandler } from 'hono';
import type { Config } from '../config.ts';
import { equalInConstantTime, hashToken, tokenKind } from '../crypto/tokens.ts';
import type { Sql } from '../db/connect.ts';
import { Problem } from '../errors.ts';
import { senderOf } from '../http/address.ts';
import { bearerOf, unauthorized } from '../http/bearer.ts';
import { pageOf, readCookie, SESSION_COOKIE } from '../http/browser.ts';
import type { KitContext } from '../http/kit.ts';
import { OURSELVES, type RateLimits, refuse } from '../http/rate-limit.ts';
import type { Actor } from '../organization/organization.ts';
import { actorsOfTokens } from '../organization/store.ts';
import { type Credential, csrfTokenOf, type OpenSession } from '../session/session.ts';
import { type SessionKey, sessionsOf } from '../session/store.ts';
import { MAX_TOKEN_CHARACTERS } from '../wire/names.ts';
import { inTwoQueues } from './auth.ts';
import type { Env } from './env.ts';

/** Finds the actor of a request from a person or program. */
export type OperatorAuth = {
  /** Requires an API token or a session. */
  require: MiddlewareHandler<Env>;
  /** Requires an API token. */
  requireToken: MiddlewareHandler<Env>;
  /** undefined for a token that is unknown or revoked, and a session that is over. Counts nothing. */
  actorOf(credential: Credential, sender: string): Promise<Actor | undefined>;
  /** Does the same for a session alone. */
  sessionOf(key: string, sender: string): Promise<OpenSession | undefined>;
};

type Deps = {
  sql: Sql;
  limits: RateLimits;
  config: Pick<Config, 'PUBLIC_URL' | 'TRUST_PROXY'>;
  /** The issuer of the identity provider; null: the service has none. */
  issuer: string | null;
  metrics: { crossOriginRefused(reason: string): void };
};

/**
 * `Authorization: Bearer <token>` comes before the session cookie. Credentials are verified before anything is counted, so that valid ones always pass.
 * Those of the same moment share a query. Senders beyond their failures share queries among themselves, so that others do not wait behind them.
 */
export function createOperatorAuth(deps: Deps): OperatorAuth {
  const { sql, limits, config } = deps;
  const tokens = inTwoQueues(limits, (hashes: readonly Buffer[]) => actorsOfTokens(sql, hashes));
  const sessions = inTwoQueues(limits, (keys: readonly SessionKey[]) => sessionsOf(sql, deps.issuer, keys));
  const actorOfToken = async (token: string | undefined, sender: string) =>
    isPossible(token) ? tokens(sender, hashToken(token)) : undefined;
  const sessionOf: OperatorAuth['sessionOf'] = async (key, sender) => {
    const found = isPossible(key) ? await sessions(sender, { hash: hashToken(key), isUse: sender !== OURSELVES }) : undefined;
    return found === undefined ? undefined : { ...found, csrfToken: csrfTokenOf(key) };
  };
  const requireToken: OperatorAuth['require'] = async (c, next) => {
    const sender = senderOf(c, config.TRUST_PROXY);
    const token = bearerOf(c.req.header('authorization'));
    const actor = await actorOfToken(token, sender);
    if (actor === undefined) refuse(limits, sender, unauthorized(whatIsWanted(token)));
    limits.token.take(actor.id);
    c.set('actor', actor);
    await next();
  };
  const requireSession = async (c: Parameters<OperatorAuth['require']>[0], key: string): Promise<void> => {
    const sender = senderOf(c, config.TRUST_PROXY);
    const refuseFor = (reason: string, problem: Problem): never => {
      deps.metrics.crossOriginRefused(reason);
      return refuse(limits, sender, problem);
    };
    if (!isFromOwnPage(c, config)) refuseFor('other_origin', crossOrigin());
    const session = await sessionOf(key, sender);
    if (session === undefined) return refuse(limits, sender, unauthorized('the session is over; sign in again'));
    const given = c.req.header('x-csrf-token');
    if (!isSafe(c) && (given === undefined || !equalInConstantTime(given, session.csrfToken))) refuseFor('csrf_token', wrongCsrfToken());
    limits.token.take(session.actor.id);
    c.set('actor', session.actor);
    c.set('session', session);
  };
  return {
    requireToken,
    require: async (c, next) => {
      const hasToken = bearerOf(c.req.header('authorization')) !== undefined;
      const key = hasToken ? undefined : readCookie(c.env.incoming, SESSION_COOKIE, config);
      if (key === undefined) return requireToken(c, next);
      await requireSession(c, key);
      return next();
    },
    actorOf: async ({ via, secret }, sender) => (via === 'token' ? actorOfToken(secret, sender) : (await sessionOf(secret, sender))?.actor),
    sessionOf,
  };
}

function isPossible(secret: string | undefined): secret is string {
  return secret !== undefined && secret !== '' && secret.length <= MAX_TOKEN_CHARACTERS;
}

/** These methods change nothing. */
function isSafe(c: KitContext): boolean {
  return c.req.method === 'GET' || c.req.method === 'HEAD';
}

/** The browser must say that our own page sent a change. It need not say so of a read, whose answer no other page can see. */
function isFromOwnPage(c: KitContext, config: Deps['config']): boolean {
  const page = pageOf(c.env.incoming, config);
  return page === 'own' || (page === 'unknown' && isSafe(c));
}

export function crossOrigin(): Problem {
  return new Problem(
    'cross_origin',
    'Cannot accept the request with a session: a page of another origin sent it, or the browser does not say which; programs must send an API token',
  );
}

function wrongCsrfToken(): Problem {
  return new Problem(
    'csrf_token_invalid',
    'Cannot accept the change: the header X-CSRF-Token must be the csrfToken that GET /api/v1/me shows',
  );
}

function whatIsWanted(token: string | undefined): string {
  const wanted = 'send a valid API token as "Authorization: Bearer <token>"';
  return token !== undefined && tokenKind(token) === 'root'
    ? `the token sent is a root token, which opens /api/v1/organizations alone; ${wanted}`
    : wanted;
}
