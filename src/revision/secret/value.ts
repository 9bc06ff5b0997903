import { isSecretName, REDACTED } from './secret.ts';
import { holdsSecret } from './text.ts';

/** A copy of a JSON value for users: values whose name or form reveals a secret are replaced. */
export function withoutSecrets(value: unknown): unknown {
  if (holdsSecret(value)) return REDACTED;
  if (Array.isArray(value)) return value.map(withoutSecrets);
  return typeof value === 'object' && value !== null ? Object.fromEntries(openFields(value)) : value;
}

export function openFields(value: object): [string, unknown][] {
  return Object.entries(value).map(([name, inner]) => [name, isSecretName(name) && isRevealing(inner) ? REDACTED : withoutSecrets(inner)]);
}

/** Switches such as `passwordLogin: true` are no secrets. */
function isRevealing(value: unknown): boolean {
  return typeof value !== 'boolean' && value !== null && value !== '';
}
