/** Roles of bearer tokens. Each role includes the permissions of those before it. */
export const ROLES = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export function mayActAs(held: Role, needed: Role): boolean {
  return ROLES.indexOf(held) >= ROLES.indexOf(needed);
}

/** The caller, for routes and the audit log. */
export type Actor = {
  organizationId: string;
  role: Role;
  /** A token, or a user of the identity provider. */
  kind: 'token' | 'user';
  /** Id of the token; issuer and subject of the user. Limits and Idempotency-Keys belong to it. */
  id: string;
  name: string;
  /** Email of the user or of the token's user, to match authors of commits; null: unknown. */
  email: string | null;
};

/** The actor's name in the audit log. */
export function auditName({ kind, name }: Pick<Actor, 'kind' | 'name'>): string {
  return `${kind}:${name}`;
}

export const DEFAULT_ORGANIZATION = 'default';

/** Channel that notifies every process of revoked tokens and of sessions that ended. */
export const TOKENS_CHANNEL = 'bellwether_tokens';
