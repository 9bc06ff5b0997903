import type { Config } from '../config.ts';
import { DEFAULT_ORGANIZATION, mayActAs, type Role } from '../organization/organization.ts';

/** The role of a user, and the name of the organization in which they have it. */
export type Grant = { role: Role; organization: string };

/**
 * Returns the highest role that the values of a user's role claim stand for; of equal ones the first in the setting.
 * @returns undefined for a user without any
 */
export function grantOf(
  values: readonly string[],
  { OIDC_ROLES: rules, OIDC_DEFAULT_ROLE: usual }: Pick<Config, 'OIDC_ROLES' | 'OIDC_DEFAULT_ROLE'>,
): Grant | undefined {
  let best: Grant | undefined = usual === 'none' ? undefined : { role: usual, organization: DEFAULT_ORGANIZATION };
  let isUsual = true;
  for (const { value, role, organization = DEFAULT_ORGANIZATION } of rules) {
    if (!values.includes(value)) continue;
    if (best === undefined || isUsual || !mayActAs(best.role, role)) best = { role, organization };
    isUsual = false;
  }
  return best;
}
