import { z } from '@hono/zod-openapi';
import type { Command, CommandState } from '../../command/command.ts';

const time = z.iso.datetime();

export const SeedCommand = z
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

export function viewSeedCommand(command: Command): z.output<typeof SeedCommand> {
  return {
    command_id: command.id,
    command_type: command.type,
    payload: command.payload,
    status: SEED_STATES[command.state],
    result: command.result,
    created_at: command.createdAt.toISOString(),
    expires_at: command.expiresAt.toISOString(),
  };
}

/** The older protocol has no word for a cancelled command; to its clients it is one that is not to be run any more. */
const SEED_STATES: Readonly<Record<CommandState, z.output<typeof SeedCommand>['status']>> = {
  queued: 'pending',
  sent: 'sent',
  completed: 'completed',
  failed: 'failed',
  expired: 'expired',
  cancelled: 'expired',
};
