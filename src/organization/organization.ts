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
  tokenId: string;
  name: string;
  /** Email of the token's user, to match authors of commits; null: unknown. */
  email: string | null;
};

export const DEFAULT_ORGANIZATION = 'default';
