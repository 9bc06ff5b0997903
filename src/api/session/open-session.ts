import type { Context } from 'hono';
import { audited } from '../../audit/audited.ts';
import type { Config } from '../../config.ts';
import { hashToken, mintToken } from '../../crypto/tokens.ts';
import type { Store } from '../../event/transact.ts';
import { senderOf } from '../../http/address.ts';
import { cookieText, readCookie, SESSION_COOKIE } from '../../http/browser.ts';
import type { RateLimits } from '../../http/rate-limit.ts';
import { newId } from '../../ids.ts';
import type { Actor } from '../../organization/organization.ts';
import { csrfTokenOf, type OpenSession } from '../../session/session.ts';
import { endSession, insertSession } from '../../session/store.ts';
import type { Env } from '../env.ts';
import type { OperatorAuth } from '../operator-auth.ts';

export type SignInDeps = {
  store: Store;
  limits: RateLimits;
  operatorAuth: OperatorAuth;
  /** The issuer of the identity provider; null: the service has none. */
  issuer: string | null;
  config: Pick<Config, 'PUBLIC_URL' | 'TRUST_PROXY'>;
};

/** A person who may have a session. `notAfter`: when a session that vouches for them is over. */
export type Proof = { actor: Actor; by: 'token' | 'link' | 'oidc'; notAfter: Date | null };

/** Sets the cookie of a new session. A session that the browser had before is over. */
export async function openSession(deps: SignInDeps, c: Context<Env>, { actor, by, notAfter }: Proof): Promise<OpenSession> {
  const { store, config, operatorAuth } = deps;
  const before = readCookie(c.env.incoming, SESSION_COOKIE, config);
  const replaced = before === undefined ? undefined : await operatorAuth.sessionOf(before, senderOf(c, config.TRUST_PROXY));
  const [id, key] = [newId(), mintToken('session')];
  const entry = { action: 'session.create', subject: `session:${id}`, detail: { by, role: actor.role } };
  const session = await audited({ actor, requestId: c.get('requestId') }, store, entry, async ({ tx }) => {
    if (replaced !== undefined) await endSession(tx, replaced.actor.organizationId, replaced.id);
    return insertSession(tx, { id, hash: hashToken(key), actor, notAfter });
  });
  const maxAgeSeconds = Math.max(1, Math.floor((session.expiresAt.getTime() - Date.now()) / 1000));
  setSessionCookie(c, config, key, maxAgeSeconds);
  return { ...session, csrfToken: csrfTokenOf(key) };
}

export function setSessionCookie(c: Context<Env>, config: SignInDeps['config'], value: string, maxAgeSeconds: number): void {
  const cookie = { name: SESSION_COOKIE, value, maxAgeSeconds, sameSite: 'Strict' } as const;
  c.header('set-cookie', cookieText(c.env.incoming, config, cookie), { append: true });
}
