import type { DesiredState } from '../src/wire/agent.ts';
import { messageOf } from '../src/wire/problem.ts';
import { beginAttempt, refuseAttempt, runAttempt } from './apply.ts';
import { backoffMs } from './backoff.ts';
import type { Agent } from './context.ts';
import { planNext, supersedes } from './plan.ts';
import { createBell, pause } from './signals.ts';

/** Brings the device to what is desired, one attempt at a time, while polling goes on. */
export type Worker = {
  /** The newest accepted desired state. */
  want(desired: DesiredState): void;
  /** Tries at once what waits to be tried again. */
  hurry(): void;
  run(signal: AbortSignal): Promise<void>;
};

const LONGEST_RETRY_MS = 15 * 60_000;

export function createWorker(agent: Agent): Worker {
  const bell = createBell();
  let desired: DesiredState | null = null;
  let superseded = new AbortController();
  let hurried = false;

  async function step(signal: AbortSignal): Promise<void> {
    if (agent.journal.state.attempt === null) {
      const plan = planNext(desired, agent.journal.state);
      if (plan.do === 'nothing') return bell.wait(signal);
      if (plan.do === 'refuse') return refuseAttempt(agent, plan.deploymentId, plan.number);
      if (plan.retry && !hurried) {
        const before = desired;
        await bell.wait(signal, retryMs(plan.attempt.number));
        if (signal.aborted || desired !== before) return;
      }
      hurried = false;
      superseded = new AbortController();
      await beginAttempt(agent, plan.attempt);
    }
    await agent.exclusive(() => runAttempt(agent, superseded.signal, signal));
  }

  function retryMs(number: number): number {
    const longest = Math.min(LONGEST_RETRY_MS, agent.config.retrySeconds * 1000 * 2 ** Math.min(number - 2, 20));
    return longest * (0.5 + Math.random() / 2);
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
    async run(signal) {
      for (let failures = 0; !signal.aborted; ) {
        try {
          await step(signal);
          failures = 0;
        } catch (error) {
          if (signal.aborted) return;
          agent.log('error', 'cannot go on with the deployment yet', { error: messageOf(error) });
          await pause(Math.max(100, backoffMs(failures, Math.random())), signal);
          failures += 1;
        }
      }
    },
  };
}
