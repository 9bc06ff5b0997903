import { z } from '@hono/zod-openapi';
import type { Command, CommandState } from '../../command/command.ts';

const time = z.iso.datetime();

export const LegacyCommand = z
  .object({
    command_id: z.string(),
    command_type: z.string(),
    payload: z.record(z.string(), z.unknown()),
    status: z.enum(['pending', 'sent', 'completed', 'failed', 'expired']),
    result: z.unknown(),
    created_at: time,
    expires_at: time,
  })
  .openapi('SeedCommand');

export function viewLegacyCommand(command: Command): z.output<typeof LegacyCommand> {
  return {
    command_id: command.id,
    command_type: command.type,
    payload: command.payload,
    status: LEGACY_STATES[command.state],
    result: command.result,
    created_at: command.createdAt.toISOString(),
    expires_at: command.expiresAt.toISOString(),
  };
}

/** The earlier protocol has no word for a cancelled command. Its clients must not run it, as with an expired one. */
const LEGACY_STATES: Readonly<Record<CommandState, z.output<typeof LegacyCommand>['status']>> = {
  queued: 'pending',
  sent: 'sent',
  completed: 'completed',
  failed: 'failed',
  expired: 'expired',
  cancelled: 'expired',
};
