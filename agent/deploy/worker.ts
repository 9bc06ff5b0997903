import type { DesiredState } from '../../src/wire/agent.ts';
import { messageOf } from '../../src/wire/problem.ts';
import type { Agent } from '../context.ts';
import { reportDiskTrouble } from '../reports.ts';
import { backoffMs, retryMs } from '../time/backoff.ts';
import { createBell, pause } from '../time/signals.ts';
import { beginAttempt, refuseAttempt, runAttempt } from './apply.ts';
import { checkBusy } from './busy.ts';
import { type Plan, planNext, supersedes } from './plan.ts';
import type { Attempt } from './state.ts';

/** Applies the desired state, one attempt at a time, while polling continues. */
export type Worker = {
  /** The newest accepted desired state. */
  want(desired: DesiredState): void;
  /** Ends the pause before a retry, and checks again whether the device is busy. */
  hurry(): void;
  run(signal: AbortSignal): Promise<void>;
};

/** Longest single wait of a busy device, ms. Between two, its clock may be corrected, or the machine may have been suspended. */
const LONGEST_WAIT_MS = 60_000;

export function createWorker(agent: Agent): Worker {
  const bell = createBell();
  let desired: DesiredState | null = null;
  let superseded = new AbortController();
  let hurried = false;
  /** The try that the device's hook defers. */
  let busy: (Pick<Attempt, 'deploymentId' | 'number'> & { until: Date }) | null = null;

  async function step(signal: AbortSignal): Promise<void> {
    if (agent.journal.state.attempt === null) {
      const plan = planNext(desired, agent.journal.state);
      if (plan.do === 'nothing') return bell.wait(signal);
      if (plan.do === 'refuse') return refuseAttempt(agent, plan.deploymentId, plan.number);
      if (!(await mayBegin(plan, signal))) return;
      superseded = new AbortController();
      await beginAttempt(agent, plan.attempt);
      if (isSuperseded(plan.attempt)) superseded.abort();
    }
    await agent.exclusive(() => runAttempt(agent, superseded.signal, signal));
  }

  /** Waits for a busy device, or for the pause before a retry. @returns false: plan again */
  async function mayBegin({ attempt, retry, beginBefore }: Extract<Plan, { do: 'apply' }>, signal: AbortSignal): Promise<boolean> {
    const { deploymentId, number } = attempt;
    if (busy?.deploymentId === deploymentId && busy.number === number) {
      const leftMs = busy.until.getTime() - agent.clock.now().getTime();
      if (leftMs > 0 && !hurried) {
        await bell.wait(signal, Math.min(leftMs, LONGEST_WAIT_MS));
        return false;
      }
    } else if (retry && !hurried) {
      const before = desired;
      await bell.wait(signal, retryMs(agent.config.retrySeconds, number, Math.random()));
      if (signal.aborted || desired !== before) return false;
    }
    hurried = false;
    const until = await checkBusy(agent, attempt, beginBefore, signal);
    busy = until && { deploymentId, number, until };
    return busy === null && !isSuperseded(attempt);
  }

  /** Whether the desired state changed during a wait. */
  function isSuperseded(attempt: Attempt): boolean {
    return desired !== null && supersedes(desired, attempt);
  }

  return {
    want(next) {
      desired = next;
      const { attempt } = agent.journal.state;
      if (attempt !== null && supersedes(next, attempt)) superseded.abort();
      bell.ring();
    },
    hurry() {
      hurried = true;
      bell.ring();
    },
    run: (signal) => repeat(agent, step, signal),
  };
}

/** Repeats the step until the signal fires, with a pause after each failure. */
async function repeat(agent: Agent, step: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
  for (let failures = 0; !signal.aborted; ) {
    try {
      await step(signal);
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      agent.log('error', 'failed to continue the deployment; the next try follows', { error: messageOf(error) });
      await reportDiskTrouble(agent, error);
      await pause(Math.max(100, backoffMs(failures, Math.random())), signal);
      failures += 1;
    }
  }
}
