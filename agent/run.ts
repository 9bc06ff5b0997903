import { createFault } from '../src/wire/fault.ts';
import { messageOf } from '../src/wire/problem.ts';
import { createCommands } from './commands/commands.ts';
import { type AgentConfig, readAgentConfig } from './config.ts';
import type { Agent } from './context.ts';
import { createDriftCheck, watchDrift } from './deploy/drift.ts';
import { createWorker } from './deploy/worker.ts';
import { instanceOf } from './disk/instance.ts';
import { openRoot, type Root } from './disk/root.ts';
import { createLog } from './log.ts';
import { openAgent, retryOnDiskTrouble } from './open.ts';
import { pollDesired } from './server/poll.ts';
import { openServer } from './server/server.ts';
import { beat } from './telemetry.ts';

const DEFAULT_HEARTBEAT_SECONDS = 30;

/**
 * Runs a device's agent until the signal fires. The journal then holds an unfinished deployment, and the next start continues it.
 * @throws Problem `root_in_use`, `not_enrolled`, `identity_mismatch`, or the server's refusal of an enrolment
 */
export async function runAgent(config: AgentConfig, signal: AbortSignal): Promise<void> {
  const log = createLog(config.logLevel, (line) => process.stderr.write(line));
  const fault = createFault(config.fault, () => process.kill(process.pid, 'SIGKILL'));
  const server = openServer(config.server, await instanceOf(config.root), config.proxies);
  const context = { config, server, log, fault };
  let root: Root | null = null;
  try {
    const opened = await retryOnDiskTrouble(context, signal, () => openRoot(config.root, log));
    root = opened;
    const agent = await retryOnDiskTrouble(context, signal, () => openAgent(context, opened, signal));
    try {
      await runParts(agent, signal);
      await agent.journal.write(() => ({ stoppedCleanly: true }));
      log('info', 'agent stopped');
    } finally {
      await agent.outbox.close();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    server.close();
    root?.close();
  }
}

/** Runs the parts concurrently. A part that fails stops the others, so that a supervisor restarts the whole agent. */
async function runParts(agent: Agent, signal: AbortSignal): Promise<void> {
  const broken = new AbortController();
  const stop = AbortSignal.any([signal, broken.signal]);
  let heartbeatSeconds = agent.config.heartbeatSeconds ?? DEFAULT_HEARTBEAT_SECONDS;
  const worker = createWorker(agent);
  const commands = createCommands({ agent, checkDrift: createDriftCheck(agent), hurry: worker.hurry });
  const listener: Parameters<typeof pollDesired>[1] = {
    want(desired) {
      heartbeatSeconds = agent.config.heartbeatSeconds ?? Math.max(1, desired.heartbeatSeconds);
      worker.want(desired);
    },
    command: commands.take,
  };
  const parts = [
    agent.outbox.run(stop),
    worker.run(stop),
    pollDesired(agent, listener, stop),
    commands.run(stop),
    watchDrift(agent, stop),
    beat(agent, () => heartbeatSeconds, stop),
  ];
  let failure: unknown;
  await Promise.all(
    parts.map((part) =>
      part.catch((error: unknown) => {
        if (!signal.aborted) failure ??= error;
        broken.abort();
      }),
    ),
  );
  if (failure !== undefined) throw failure;
}

/** Longest time of a graceful stop, ms. The journal holds any work that is unfinished by then. */
const STOP_MS = 4500;

/** The program: settings from `args` and the environment, stopped by SIGTERM or SIGINT. */
export async function runFromCommandLine(args: string[]): Promise<void> {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.once(name, () => {
      stop.abort(new Error(`stopped by ${name}`));
      setTimeout(() => process.exit(0), STOP_MS).unref();
    });
  }
  try {
    await runAgent(readAgentConfig(args, process.env), stop.signal);
  } catch (error) {
    process.stderr.write(`${JSON.stringify({ level: 'error', time: new Date().toISOString(), msg: messageOf(error) })}\n`);
    process.exitCode = 1;
  }
}
