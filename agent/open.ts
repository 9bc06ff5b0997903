import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { messageOf } from '../src/wire/problem.ts';
import { reportInterruptedCommands } from './commands/commands.ts';
import type { Agent } from './context.ts';
import { resume } from './deploy/apply.ts';
import { type Journal, openJournal } from './deploy/state.ts';
import { describeDiskTrouble, isDiskTrouble } from './disk/disk-trouble.ts';
import { readManifest, runningDigest } from './disk/release.ts';
import type { Root } from './disk/root.ts';
import { reportNotices } from './reports.ts';
import { ensureIdentity, type Identity, type IdentityContext, keyMark, readIdentity } from './server/identity.ts';
import { openOutbox } from './server/outbox.ts';
import { backoffMs } from './time/backoff.ts';
import { createDeviceClock, systemClock } from './time/clock.ts';
import { createBell, createTurn, pause } from './time/signals.ts';

/**
 * Repeats `work` with growing pauses while the disk is full, read-only or not writable for the agent. It logs the fault, and reports it to the
 * server if the agent has an identity.
 * @throws any other error of `work`, and the signal's reason
 */
export async function retryOnDiskTrouble<T>(context: IdentityContext, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  let reported = '';
  for (let failures = 0; ; failures += 1) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!isDiskTrouble(error)) throw error;
      const message = await describeDiskTrouble(error);
      context.log('error', 'failed to start; the next try follows', { error: message });
      if (message !== reported) await reportPastOutbox(context, message, signal);
      reported = message;
      await pause(backoffMs(failures, Math.random()), signal);
      signal.throwIfAborted();
    }
  }
}

/** Restores the agent's state of its last run. @throws as `ensureIdentity`, an error of the disk, and the signal's reason */
export async function openAgent(context: IdentityContext, root: Root, signal: AbortSignal): Promise<Agent> {
  const { config, server, log, fault } = context;
  const identity = await ensureIdentity(context, root, signal);
  const outbox = await openOutbox(root.outbox, (reports, fresh, stop) => server.report(identity, reports, fresh, stop), log, fault);
  try {
    const journal = await openJournal(root, outbox, fault);
    await resetSequence(journal, identity);
    const clock = createDeviceClock(systemClock);
    const agent: Agent = {
      ...{ config, root, identity, server, journal, outbox, clock, system: systemClock, log, fault },
      exclusive: createTurn(),
      pollNow: createBell(),
      checkFiles: createBell(),
    };
    await adoptRunning(agent);
    await resume(agent);
    await reportInterruptedCommands(agent);
    await reportNotices(agent);
    log('info', 'agent started', { deviceId: identity.deviceId, server: config.server, root: root.folder, running: journal.state.running });
    return agent;
  } catch (error) {
    await outbox.close();
    throw error;
  }
}

/**
 * With a new key, the device may be another one for the service, so its sequence starts again. The agent still refuses a state that was issued
 * before the last one that it accepted: see `refuseOlder`.
 */
async function resetSequence(journal: Journal, identity: Identity): Promise<void> {
  const { acceptedUnder } = journal.state;
  const mark = keyMark(identity);
  if (acceptedUnder === null || acceptedUnder === mark) return;
  await journal.write(() => ({ sequence: -1, sequenceDigest: null, acceptedUnder: mark }));
}

/** After the state was lost, the release in `current` becomes the one to which a failure of the next bundle rolls back. */
async function adoptRunning({ root, journal }: Agent): Promise<void> {
  const { running, sequence, attempt } = journal.state;
  if (running !== null || sequence >= 0 || attempt !== null) return;
  const digest = await runningDigest(root);
  if (digest !== null && (await readManifest(root, digest)) !== null) await journal.write(() => ({ running: digest }));
}

/** Reports without the outbox, because the agent cannot open it while the disk fails. */
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
    log('warn', 'failed to report the disk fault to the server; the next try follows', { error: messageOf(error) });
  }
}
