import { isSecretName, REDACTED } from '../revision/secret/secret.ts';
import { holdsSecret } from '../revision/secret/text.ts';
import type { Command } from './command.ts';

/** Returns a command for users, without secrets; the device receives all of it. */
export function shownCommand(command: Command): Command {
  return { ...command, payload: Object.fromEntries(redactedFields(command.payload)), result: redacted(command.result) };
}

/** Replaces values whose name or form reveals a secret. */
function redacted(value: unknown): unknown {
  if (holdsSecret(value)) return REDACTED;
  if (Array.isArray(value)) return value.map(redacted);
  return typeof value === 'object' && value !== null ? Object.fromEntries(redactedFields(value)) : value;
}

function redactedFields(value: object): [string, unknown][] {
  return Object.entries(value).map(([name, inner]) => [name, isSecretName(name) && isRevealing(inner) ? REDACTED : redacted(inner)]);
}

/** Switches such as `passwordLogin: true` are no secrets. */
function isRevealing(value: unknown): boolean {
  return typeof value !== 'boolean' && value !== null && value !== '';
}
