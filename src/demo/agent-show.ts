import { printNextSteps, textOf } from './next.ts';
import type { Output } from './output.ts';
import { type Observed, pushGoodCommits, pushInvalidCommit, pushUnhealthyCommit } from './pushes.ts';
import { openSamples, type Samples } from './samples.ts';
import type { Show } from './show.ts';

/** The main job on devices with agents: a good commit, one that does not validate, and one that a device rolls back. */
export function agentShow(devices: number): Show<Samples> {
  const observed: Observed = { arrivals: [], rejectedRevisions: 0, rolledBack: 0 };
  let deviceCount = 0;
  return {
    async open(options, stopped) {
      const samples = await openSamples(devices, options, stopped);
      deviceCount = samples.devices.length;
      return samples;
    },
    async play(samples, out, elapsed) {
      out.line(`All ${samples.devices.length} devices run what their repositories say (${elapsed()}).`);
      await pushGoodCommits(samples, out, observed);
      await pushInvalidCommit(samples, out, observed);
      await pushUnhealthyCommit(samples, out, observed);
      sayTimes(observed, out);
    },
    printNextSteps,
    textOf,
    isComplete: () =>
      deviceCount > 0 && observed.arrivals.length === deviceCount && observed.rejectedRevisions === 1 && observed.rolledBack === 1,
    summary() {
      const { arrivals, rejectedRevisions, rolledBack } = observed;
      return { devices: deviceCount, applied: arrivals.length, rejectedRevisions, rolledBack, pushToAppliedMs: pushToApplied(observed) };
    },
  };
}

function sayTimes(observed: Observed, out: Output): void {
  const hooks = observed.arrivals.flatMap(({ sinceHookMs }) => sinceHookMs ?? []);
  const push = pushToApplied(observed);
  out.heading('Times');
  out.line(`  git push to applied     p50 ${push.p50} ms, p99 ${push.p99} ms`);
  if (hooks.length > 0) out.line(`  webhook to applied      p50 ${percentile(hooks, 50)} ms, p99 ${percentile(hooks, 99)} ms`);
}

function pushToApplied({ arrivals }: Pick<Observed, 'arrivals'>) {
  const times = arrivals.map(({ sincePushMs }) => sincePushMs);
  return { p50: percentile(times, 50), p99: percentile(times, 99) };
}

/** Nearest rank, whole milliseconds; null of nothing. */
function percentile(values: readonly number[], percent: number): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
  return value === undefined ? null : Math.round(value);
}
