import type { AgentCommand } from '../../src/wire/agent.ts';
import type { Agent } from '../context.ts';
import type { DriftResult } from '../deploy/drift.ts';

/** Dependencies of a command, beside the command itself. */
export type CommandContext = { agent: Agent; checkDrift(): Promise<DriftResult>; hurry(): void };

/** `result` becomes the report's result. */
export type CommandOutcome = { ok: boolean; result: Record<string, unknown> };

export type CommandType = {
  run(context: CommandContext, command: AgentCommand, signal: AbortSignal): Promise<CommandOutcome>;
  /** True: the command counts as completed when the agent went down while it ran, because a restart of the device does just that. */
  survivesRestart?: boolean;
};
