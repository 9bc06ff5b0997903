import { z } from 'zod';
import { HookName } from '../wire/bundle.ts';

export type CommandState = 'queued' | 'sent' | 'completed' | 'failed' | 'expired' | 'cancelled';

export const COMMAND_TRANSITIONS: Readonly<Record<CommandState, readonly CommandState[]>> = {
  queued: ['sent', 'completed', 'failed', 'expired', 'cancelled'],
  sent: ['completed', 'failed', 'expired', 'cancelled'],
  completed: [],
  failed: [],
  expired: [],
  cancelled: [],
};

export function commandStatesBefore(to: CommandState): CommandState[] {
  return (Object.keys(COMMAND_TRANSITIONS) as CommandState[]).filter((from) => COMMAND_TRANSITIONS[from].includes(to));
}

/** A command older than this expires. The legacy Device API has the same default. */
export const COMMAND_TTL_SECONDS = 300;

export type Command = {
  organizationId: string;
  id: string;
  deviceId: string;
  type: string;
  payload: Record<string, unknown>;
  state: CommandState;
  result: unknown;
  createdBy: string;
  createdAt: Date;
  expiresAt: Date;
  sentAt: Date | null;
  finishedAt: Date | null;
};

/** Kinds of commands with the schema of their payload. To add one: an entry here, and a file in `agent/commands/` with its registry line. */
export const COMMAND_TYPES = {
  ping: z.strictObject({}),
  health_check: z.strictObject({}),
  status_request: z.strictObject({}),
  update_config: z.strictObject({}),
  restart: z.strictObject({}),
  run_hook: z.strictObject({ hook: HookName }),
  // For clients of the legacy Device API, which execute these themselves. Bellwether's agent responds "failed: not supported".
  restart_pos_app: z.record(z.string(), z.unknown()),
  run_command: z.record(z.string(), z.unknown()),
  run_script: z.record(z.string(), z.unknown()),
  shutdown: z.record(z.string(), z.unknown()),
  update_pos_payment_config: z.record(z.string(), z.unknown()),
} as const;

export type CommandType = keyof typeof COMMAND_TYPES;

export function isCommandType(text: string): text is CommandType {
  return Object.hasOwn(COMMAND_TYPES, text);
}
