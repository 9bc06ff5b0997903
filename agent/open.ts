import { randomUUID } from 'node:crypto';
import { isNoSpace } from '../src/wire/no-space.ts';
import { messageOf } from '../src/wire/problem.ts';
import { resume } from './apply.ts';
import { backoffMs } from './backoff.ts';
import { settleInterruptedCommands } from './commands.ts';
import type { Agent } from './context.ts';
import { becomeIdentity, type IdentityContext, readIdentity } from './identity.ts';
import { openOutbox } from './outbox.ts';
import { noSpaceMessage } from './reports.ts';
import type { Root } from './root.ts';
import { createBell, createTurn, pause } from './signals.ts';
import { openJournal } from './state.ts';
import { createDeviceClock, systemClock } from './time.ts';

/**
 * Brings the agent to where it stood when it ended. On a full disk, where that cannot be noted, it says so to the server and waits for room.
 * @throws as `becomeIdentity`, and the signal's reason
 */
export async function openAgent(context: IdentityContext, root: Root, signal: AbortSignal): Promise<Agent> {
  for (let failures = 0; ; failures += 1) {
    try {
      return await open(context, root, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!isNoSpace(error)) throw error;
      context.log('error', 'cannot start yet', { error: messageOf(error) });
      if (failures === 0) await tellNoSpace(context, root, error, signal);
      await pause(backoffMs(failures, Math.random()), signal);
      signal.throwIfAborted();
    }
  }
}

async function open(context: IdentityContext, root: Root, signal: AbortSignal): Promise<Agent> {
  const { config, server, log, fault } = context;
  const identity = await becomeIdentity(context, root.identity, signal);
  const outbox = await openOutbox(root.outbox, (reports, fresh, stop) => server.report(identity, reports, fresh, stop), log, fault);
  try {
    const journal = await openJournal(root.state, outbox, log, fault);
    const clock = createDeviceClock(systemClock);
    const agent: Agent = {
      ...{ config, root, identity, server, journal, outbox, clock, system: systemClock, log, fault },
      exclusive: createTurn(),
      pollNow: createBell(),
      lookAtFiles: createBell(),
    };
    await resume(agent);
    await settleInterruptedCommands(agent);
    log('info', 'agent runs', { deviceId: identity.deviceId, server: config.server, root: root.folder, running: journal.state.running });
    return agent;
  } catch (error) {
    await outbox.close();
    throw error;
  }
}

/** Past the outbox, which cannot be opened. */
async function tellNoSpace({ server, log }: IdentityContext, root: Root, cause: unknown, signal: AbortSignal): Promise<void> {
  try {
    const identity = await readIdentity(root.identity);
    if (identity === null) return;
    const report = { id: randomUUID(), at: new Date().toISOString(), kind: 'log', level: 'error', message: noSpaceMessage(cause) } as const;
    await server.report(identity, [report], false, signal);
  } catch (error) {
    log('warn', 'cannot tell the server of it', { error: messageOf(error) });
  }
}
