import { createHmac } from 'node:crypto';
import type { Actor } from '../organization/organization.ts';

/** A session without a request for this time is over. */
export const IDLE_SECONDS = 12 * 3_600;
/** A session of a token is over after this time, however much it is used. */
export const TOKEN_SESSION_SECONDS = 7 * 86_400;
/** A session of a user of the identity provider. Short, because only a new sign-in shows that the provider still knows the user and the role. */
export const USER_SESSION_SECONDS = 86_400;
/** A one-time link is over after this time. */
export const LINK_SECONDS = 600;
/** Sessions of one token or user at once. One more ends the one that was used the longest time ago. */
export const MAX_SESSIONS = 100;

/** How a request proves its actor: an API token, or the key of a session from the cookie. */
export type Credential = { via: 'token' | 'session'; secret: string };

/** A session that is not over. */
export type Session = {
  id: string;
  actor: Actor;
  /** When it is over unless it is used before. */
  endsAt: Date;
  /** When it is over however much it is used. */
  expiresAt: Date;
};

/** A session with the token that its pages must send in `X-CSRF-Token`. */
export type OpenSession = Session & { csrfToken: string };

/** A page can read this token only if it is of our own origin. It is bound to the session's key, and reveals nothing about it. */
export function csrfTokenOf(sessionKey: string): string {
  return createHmac('sha256', sessionKey).update('bellwether csrf').digest('base64url');
}

/** How long a new session of this actor may last. */
export function sessionSeconds({ kind }: Pick<Actor, 'kind'>): number {
  return kind === 'token' ? TOKEN_SESSION_SECONDS : USER_SESSION_SECONDS;
}
