import type { AgentCommand } from '../../src/wire/agent.ts';
import type { Agent } from '../context.ts';
import type { DriftResult } from '../deploy/drift.ts';

/** What a command may use beside the agent itself. */
export type CommandContext = { agent: Agent; checkDrift(): Promise<DriftResult>; hurry(): void };

/** `result` becomes the report's result. */
export type CommandOutcome = { ok: boolean; result: Record<string, unknown> };

export type CommandType = {
  run(context: CommandContext, command: AgentCommand, signal: AbortSignal): Promise<CommandOutcome>;
  /** What it means when the agent went down while the command ran: a restart that restarted the device did its work. */
  survivesRestart?: boolean;
};
