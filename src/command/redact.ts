import { isSecretName, REDACTED } from '../revision/secret/secret.ts';
import { holdsSecret } from '../revision/secret/text.ts';
import type { Command } from './command.ts';

/** What people may see of a command; the device gets all of it. */
export function shownCommand(command: Command): Command {
  return { ...command, payload: Object.fromEntries(redactedFields(command.payload)), result: redacted(command.result) };
}

/** Without the values that their name, or they themselves, give away as secret. */
function redacted(value: unknown): unknown {
  if (holdsSecret(value)) return REDACTED;
  if (Array.isArray(value)) return value.map(redacted);
  return typeof value === 'object' && value !== null ? Object.fromEntries(redactedFields(value)) : value;
}

function redactedFields(value: object): [string, unknown][] {
  return Object.entries(value).map(([name, inner]) => [name, isSecretName(name) && isRevealing(inner) ? REDACTED : redacted(inner)]);
}

/** Switches such as `passwordLogin: true` tell nothing. */
function isRevealing(value: unknown): boolean {
  return typeof value !== 'boolean' && value !== null && value !== '';
}
