/** What a bearer token may do; each role may do what those before it may. */
export const ROLES = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export function mayActAs(held: Role, needed: Role): boolean {
  return ROLES.indexOf(held) >= ROLES.indexOf(needed);
}

/** Who acts, as every route and the audit log know it. */
export type Actor = {
  organizationId: string;
  role: Role;
  tokenId: string;
  name: string;
  /** Of the person whose token it is, as commits name authors; null: not said. */
  email: string | null;
};

export const DEFAULT_ORGANIZATION = 'default';
