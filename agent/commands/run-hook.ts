import { z } from 'zod';
import { HookName } from '../../src/wire/bundle.ts';
import type { Agent } from '../context.ts';
import { runHook, runningContext } from '../deploy/hooks.ts';
import type { CommandOutcome, CommandType } from './command.ts';

const Payload = z.object({ hook: HookName });

/** Runs one of the hooks that the device's owner installed. A command cannot name any other program. */
export const runHookCommand: CommandType = {
  async run({ agent }, command, signal) {
    const payload = Payload.safeParse(command.payload);
    if (!payload.success)
      return { ok: false, result: { error: 'invalid_payload', detail: 'The payload must be {"hook": "<name of an installed hook>"}.' } };
    return runLocalHook(agent, payload.data.hook, agent.config.hookTimeoutSeconds * 1000, signal);
  },
};

export async function runLocalHook(agent: Agent, hook: string, timeoutMs: number, signal: AbortSignal): Promise<CommandOutcome> {
  const result = await runHook(hook, runningContext(agent), timeoutMs, signal);
  return result.ok
    ? { ok: true, result: { output: result.output } }
    : { ok: false, result: { error: 'hook_failed', detail: result.why, output: result.output } };
}
