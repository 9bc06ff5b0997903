import type { AgentCommand, DesiredState } from '../../src/wire/agent.ts';
import { messageOf, Problem } from '../../src/wire/problem.ts';
import type { Agent } from '../context.ts';
import { quarantineUnder } from '../deploy/plan.ts';
import { logReport, reportDiskTrouble } from '../reports.ts';
import { pauseMs } from '../time/backoff.ts';
import { pause } from '../time/signals.ts';
import { stage } from './delivery.ts';
import { verifyDesired } from './desired.ts';
import { keyMark } from './identity.ts';
import type { DesiredAnswer } from './server.ts';

export type PollListener = { want(desired: DesiredState): void; command(commands: AgentCommand[]): void };

/** A server that answers a poll sooner than this, with nothing new, does not hold polls open. The agent then waits itself. */
const SHORT_ANSWER_MS = 1000;
const LONGEST_POLL_PAUSE_MS = 3_600_000;

/** Polls for the desired state, one request at a time, until the signal fires. It passes on verified states only. */
export async function pollDesired(agent: Agent, listener: PollListener, signal: AbortSignal): Promise<void> {
  await learnTime(agent, signal);
  let last: { etag: string | undefined; pauseMs: number } = { etag: undefined, pauseMs: 0 };
  let refusedJws = '';
  for (let failures = 0; !signal.aborted; ) {
    const startedAtMs = performance.now();
    try {
      const answer = await ask(agent, last.etag, signal);
      if (answer !== null) {
        if (answer.serverTime !== null) agent.clock.learn(answer.serverTime);
        refusedJws = answer.kind === 'changed' ? answer.jws : refusedJws;
        const desired = answer.kind === 'changed' ? await accept(agent, answer.jws) : null;
        if (answer.kind === 'changed' && answer.archive !== null && desired?.bundle)
          await stage(agent, desired.bundle.digest, answer.archive);
        const isNew = desired !== null && answer.etag !== last.etag;
        if (desired !== null) last = { etag: answer.etag, pauseMs: Math.min(LONGEST_POLL_PAUSE_MS, desired.pollAfterSeconds * 1000) };
        if (desired !== null) deliverTo(listener, desired);
        await rest(agent, isNew ? 0 : performance.now() - startedAtMs, last.pauseMs, isNew, signal);
      }
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      await reportFailure(agent, error, failures, refusedJws);
      await pause(Math.max(1, pauseMs(failures, error instanceof Problem ? error.retryAfterSeconds : undefined, Math.random())), signal);
      failures += 1;
    }
  }
}

/** @returns null: `pollNow` rang and ended this poll for a new one */
async function ask(agent: Agent, etag: string | undefined, signal: AbortSignal): Promise<DesiredAnswer | null> {
  const { server, identity, config } = agent;
  const polled = new AbortController();
  const given = new AbortController();
  const rung = agent.pollNow.wait(AbortSignal.any([signal, polled.signal])).then(() => {
    if (!polled.signal.aborted) given.abort();
  });
  try {
    return await server.desired(identity, etag, config.waitSeconds, AbortSignal.any([signal, given.signal]));
  } catch (error) {
    if (given.signal.aborted && !signal.aborted) return null;
    throw error;
  } finally {
    polled.abort();
    await rung;
  }
}

/** Verifies a state and stores its sequence durably before anything acts on it, so that no replay can undo it. @throws Problem as `verifyDesired` */
async function accept(agent: Agent, jws: string): Promise<DesiredState> {
  const { journal, identity, clock, fault } = agent;
  const { sequence, sequenceDigest, issuedAt } = journal.state;
  const desired = await verifyDesired(jws, { ...identity, sequence, sequenceDigest, issuedAt, now: clock.now() });
  const change = {
    sequence: desired.sequence,
    sequenceDigest: desired.bundle?.digest ?? null,
    acceptedUnder: keyMark(identity),
    issuedAt: desired.issuedAt,
    driftPolicy: desired.driftPolicy,
    quarantined: quarantineUnder(desired, journal.state.quarantined),
  };
  clock.atLeast(new Date(desired.issuedAt));
  fault('before_accept');
  const { driftPolicy, quarantined } = journal.state;
  const isSame = desired.sequence === sequence && driftPolicy === change.driftPolicy && quarantined.length === change.quarantined.length;
  if (!isSame) await journal.write(() => change);
  fault('after_accept');
  return desired;
}

function deliverTo(listener: PollListener, desired: DesiredState): void {
  listener.want(desired);
  if (desired.commands.length > 0) listener.command(desired.commands);
}

/** Waits between two polls for as long as the server asked. It does not wait after a new state, so that the next one arrives at once. */
async function rest(agent: Agent, tookMs: number, askedMs: number, isNew: boolean, signal: AbortSignal): Promise<void> {
  const short = !isNew && tookMs < Math.min(SHORT_ANSWER_MS, agent.config.waitSeconds * 1000 || SHORT_ANSWER_MS);
  const restMs = Math.max(askedMs, short ? SHORT_ANSWER_MS : 0);
  if (restMs > 0) await agent.pollNow.wait(signal, restMs);
}

/** The device was deleted, or its key was replaced. */
const UNKNOWN_KEY = 401;
const UNKNOWN_KEY_ADVICE =
  'the service does not know this key: start the agent with --device-id and --api-key of a new key, or remove identity.json and start it with --enroll';

async function reportFailure(agent: Agent, error: unknown, failures: number, jws: string): Promise<void> {
  const isUnknown = error instanceof Problem && error.status === UNKNOWN_KEY;
  const message = isUnknown ? `${messageOf(error)}; ${UNKNOWN_KEY_ADVICE}` : messageOf(error);
  agent.log('warn', 'failed to poll; the next try follows', { error: message, code: error instanceof Problem ? error.code : undefined });
  const refused = error instanceof Problem && error.code.startsWith('desired_');
  // Once per series of failures: a server that sends the same wrong state for days needs no report every minute.
  if (refused && failures === 0 && jws !== '') await agent.outbox.add([logReport(agent, 'error', message)]);
  await reportDiskTrouble(agent, error);
}

/** Sets the clock of a device that starts in 1970. Later the Date header of each poll is enough. */
async function learnTime(agent: Agent, signal: AbortSignal): Promise<void> {
  const { issuedAt } = agent.journal.state;
  if (issuedAt !== null) agent.clock.atLeast(new Date(issuedAt));
  try {
    agent.clock.learn(await agent.server.time(signal));
  } catch (error) {
    agent.log('debug', 'failed to read the time of the server; the next poll sets it', { error: messageOf(error) });
  }
}
