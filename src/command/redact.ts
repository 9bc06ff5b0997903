import { openFields, withoutSecrets } from '../revision/secret/value.ts';
import type { Command } from './command.ts';

/** Returns a command for users, without secrets; the device receives all of it. */
export function shownCommand(command: Command): Command {
  return { ...command, payload: Object.fromEntries(openFields(command.payload)), result: withoutSecrets(command.result) };
}
