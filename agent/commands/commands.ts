import type { AgentCommand } from '../../src/wire/agent.ts';
import { messageOf } from '../../src/wire/problem.ts';
import type { Agent } from '../context.ts';
import { commandReport } from '../reports.ts';
import { createTurn } from '../time/signals.ts';
import type { CommandContext, CommandOutcome, CommandType } from './command.ts';
import { healthCheck } from './health-check.ts';
import { ping } from './ping.ts';
import { restart } from './restart.ts';
import { runHookCommand } from './run-hook.ts';
import { statusRequest } from './status-request.ts';
import { updateConfig } from './update-config.ts';

const TYPES: Record<string, CommandType> = {
  ping,
  health_check: healthCheck,
  status_request: statusRequest,
  update_config: updateConfig,
  restart,
  run_hook: runHookCommand,
};

/** Time limit of any command, ms. A hook in it has its own limit below this. */
const COMMAND_TIMEOUT_MS = 120_000;
/** Ids remembered so that no command runs twice. */
const REMEMBERED = 500;

export type Commands = { take(commands: AgentCommand[]): void; run(signal: AbortSignal): Promise<void> };

/** Runs commands one after the other while polling continues. Each command runs once, however often the server lists it. */
export function createCommands(context: CommandContext): Commands {
  const inTurn = createTurn();
  const stopped = new AbortController();
  const taken = new Set<string>();
  let working: Promise<unknown> = Promise.resolve();
  return {
    take(commands) {
      for (const command of commands) {
        if (taken.has(command.id)) continue;
        taken.add(command.id);
        working = inTurn(() => execute(context, command, stopped.signal)).catch((error: unknown) => {
          // The agent could not record the command, for example on a full disk. The next poll lists it again.
          taken.delete(command.id);
          if (!stopped.signal.aborted)
            context.agent.log('error', 'failed to run a command; the next poll lists it again', {
              commandId: command.id,
              error: messageOf(error),
            });
        });
      }
    },
    async run(signal) {
      signal.addEventListener('abort', () => stopped.abort(signal.reason), { once: true });
      await new Promise<void>((done) => (signal.aborted ? done() : signal.addEventListener('abort', () => done(), { once: true })));
      await working;
    },
  };
}

/** Reports, at a start, the result of the commands during which the agent went down. */
export async function reportInterruptedCommands(agent: Agent): Promise<void> {
  const interrupted = agent.journal.state.commands.filter(({ done }) => !done);
  if (interrupted.length === 0) return;
  const reports = interrupted.map(({ id, type }) =>
    TYPES[type]?.survivesRestart
      ? commandReport(agent, id, 'completed', { restarted: true })
      : commandReport(agent, id, 'failed', { error: 'interrupted', detail: 'The agent went down while the command ran.' }),
  );
  await agent.journal.write(({ commands }) => ({ commands: commands.map((command) => ({ ...command, done: true })) }), reports);
}

async function execute(context: CommandContext, command: AgentCommand, stop: AbortSignal): Promise<void> {
  const { agent } = context;
  stop.throwIfAborted();
  if (agent.journal.state.commands.some(({ id }) => id === command.id)) return;
  if (!(Date.parse(command.expiresAt) > agent.clock.now().getTime()))
    return settle(agent, command, { ok: false, result: { error: 'expired' } });
  const type = Object.hasOwn(TYPES, command.type) ? TYPES[command.type] : undefined;
  if (type === undefined) {
    return settle(agent, command, {
      ok: false,
      result: { error: 'unknown_command', detail: `This agent has no command "${command.type}".` },
    });
  }
  await remember(agent, command, false, [commandReport(agent, command.id, 'sent')]);
  await settle(agent, command, await outcomeOf(type, context, command, stop));
}

async function outcomeOf(type: CommandType, context: CommandContext, command: AgentCommand, stop: AbortSignal): Promise<CommandOutcome> {
  const late = AbortSignal.timeout(COMMAND_TIMEOUT_MS);
  try {
    return await type.run(context, command, AbortSignal.any([stop, late]));
  } catch (error) {
    const reason = late.aborted ? 'timeout' : stop.aborted ? 'interrupted' : 'command_failed';
    return { ok: false, result: { error: reason, detail: messageOf(error) } };
  }
}

async function settle(agent: Agent, command: AgentCommand, { ok, result }: CommandOutcome): Promise<void> {
  agent.log('info', 'command finished', { commandId: command.id, type: command.type, ok });
  await remember(agent, command, true, [commandReport(agent, command.id, ok ? 'completed' : 'failed', result)]);
}

async function remember(
  agent: Agent,
  { id, type }: AgentCommand,
  done: boolean,
  reports: Parameters<Agent['outbox']['add']>[0],
): Promise<void> {
  await agent.journal.write(
    ({ commands }) => ({ commands: [...commands.filter((known) => known.id !== id), { id, type, done }].slice(-REMEMBERED) }),
    reports,
  );
}
