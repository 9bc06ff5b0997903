import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { messageOf } from '../src/wire/problem.ts';
import { settleInterruptedCommands } from './commands/commands.ts';
import type { Agent } from './context.ts';
import { resume } from './deploy/apply.ts';
import { type Journal, openJournal } from './deploy/state.ts';
import { describeDiskTrouble, isDiskTrouble } from './disk/disk-trouble.ts';
import { readManifest, runningDigest } from './disk/release.ts';
import type { Root } from './disk/root.ts';
import { reportNotices } from './reports.ts';
import { becomeIdentity, type Identity, type IdentityContext, keyMark, readIdentity } from './server/identity.ts';
import { openOutbox } from './server/outbox.ts';
import { backoffMs } from './time/backoff.ts';
import { createDeviceClock, systemClock } from './time/clock.ts';
import { createBell, createTurn, pause } from './time/signals.ts';

/**
 * Does what needs the disk. While the disk is full, read-only or not the agent's, it says so in the log and, if it knows who it is, to the server,
 * and tries again with growing pauses.
 * @throws what `work` throws else, and the signal's reason
 */
export async function untilDiskAnswers<T>(context: IdentityContext, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  let reported = '';
  for (let failures = 0; ; failures += 1) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!isDiskTrouble(error)) throw error;
      const message = await describeDiskTrouble(error);
      context.log('error', 'cannot start yet', { error: message });
      if (message !== reported) await reportPastOutbox(context, message, signal);
      reported = message;
      await pause(backoffMs(failures, Math.random()), signal);
      signal.throwIfAborted();
    }
  }
}

/** Brings the agent to where it stood when it ended. @throws as `becomeIdentity`, an error of the disk, and the signal's reason */
export async function openAgent(context: IdentityContext, root: Root, signal: AbortSignal): Promise<Agent> {
  const { config, server, log, fault } = context;
  const identity = await becomeIdentity(context, root, signal);
  const outbox = await openOutbox(root.outbox, (reports, fresh, stop) => server.report(identity, reports, fresh, stop), log, fault);
  try {
    const journal = await openJournal(root, outbox, fault);
    await countAnew(journal, identity);
    const clock = createDeviceClock(systemClock);
    const agent: Agent = {
      ...{ config, root, identity, server, journal, outbox, clock, system: systemClock, log, fault },
      exclusive: createTurn(),
      pollNow: createBell(),
      lookAtFiles: createBell(),
    };
    await adoptRunning(agent);
    await resume(agent);
    await settleInterruptedCommands(agent);
    await reportNotices(agent);
    log('info', 'agent runs', { deviceId: identity.deviceId, server: config.server, root: root.folder, running: journal.state.running });
    return agent;
  } catch (error) {
    await outbox.close();
    throw error;
  }
}

/**
 * Under a new key the device may be another one to the service, whose sequence begins anew. What was issued before the last state that was
 * accepted stays refused: see `refuseOlder`.
 */
async function countAnew(journal: Journal, identity: Identity): Promise<void> {
  const { acceptedUnder } = journal.state;
  const mark = keyMark(identity);
  if (acceptedUnder === null || acceptedUnder === mark) return;
  await journal.write(() => ({ sequence: -1, sequenceDigest: null, acceptedUnder: mark }));
}

/** After the state was lost: what `current` holds is what a failure of the next bundle goes back to. */
async function adoptRunning({ root, journal }: Agent): Promise<void> {
  const { running, sequence, attempt } = journal.state;
  if (running !== null || sequence >= 0 || attempt !== null) return;
  const digest = await runningDigest(root);
  if (digest !== null && (await readManifest(root, digest)) !== null) await journal.write(() => ({ running: digest }));
}

/** The outbox cannot be opened. */
async function reportPastOutbox({ server, log, config }: IdentityContext, message: string, signal: AbortSignal): Promise<void> {
  try {
    const identity = await readIdentity(join(config.root, 'identity.json'));
    if (identity === null) return;
    const report = {
      id: randomUUID(),
      at: new Date().toISOString(),
      kind: 'log',
      level: 'error',
      message: message.slice(0, 4000),
    } as const;
    await server.report(identity, [report], false, signal);
  } catch (error) {
    log('warn', 'failed to report it to the server', { error: messageOf(error) });
  }
}
