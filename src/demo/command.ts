import { type Command, InvalidArgumentError } from 'commander';
import { messageOf, Problem } from '../errors.ts';
import type { LiveEvent } from '../wire/live.ts';
import { type Observed, pushGoodCommits, pushInvalidCommit, pushUnhealthyCommit } from './acts.ts';
import { listenForInterruption } from './interruption.ts';
import { sayWhatNext, tellEvent } from './next.ts';
import { createOutput, type Output } from './output.ts';
import { openStage, type Stage } from './stage.ts';

type Flags = { devices: number; port: number; data?: string; exit?: boolean };

/** What there was to observe, and what was. */
type Outcome = Observed & { devices: number; failure: unknown };

/** From the start to the end of the last act. */
const LIMIT_MS = 120_000;
/** The second and the third act need a repository each. */
const MIN_DEVICES = 2;
/** Each is a process of its own, which takes about half a second of one core to start. */
const MAX_DEVICES = 20;

/** Adds `demo`: everything on this machine, three acts; then it stays up, or with `--exit` ends with a line of JSON. */
export function registerDemoCommand(program: Command): void {
  program
    .command('demo')
    .description('everything on this machine: service, repositories, devices; a good commit and two bad ones (needs git)')
    .option('--devices <n>', 'devices with a repository of their own; a fleet of five comes on top', within(MIN_DEVICES, MAX_DEVICES), 5)
    .option('--port <port>', 'port of the service; 0: any free one', within(0, 65_535), 0)
    .option('--data <dir>', 'an empty folder for everything, which is kept; default: a temporary one, which is removed')
    .option('--exit', 'end after the acts, with one line of JSON; exit code 0 if all was as promised')
    .action(demo);
}

async function demo(flags: Flags): Promise<void> {
  const out = createOutput(process.stdout, process.stderr);
  const interruption = listenForInterruption();
  const performed = await perform(flags, out, interruption.signal);
  interruption.end();
  const { failure } = performed;
  if (failure !== undefined) {
    out.warn(`The demonstration did not come to its end: ${messageOf(failure)}`);
    if (flags.data === undefined && !interruption.signal.aborted)
      out.warn('With --data DIR, the logs of the service and of the devices are kept.');
  }
  const ok = failure === undefined && isComplete(performed);
  if (flags.exit === true) out.line(JSON.stringify(summaryOf(performed, ok)));
  process.exitCode = ok ? 0 : 1;
}

/** Opens the stage, plays the acts and closes the stage, whatever happens. */
async function perform(flags: Flags, out: Output, interrupted: AbortSignal): Promise<Outcome> {
  const observed: Observed = { arrivals: [], rejectedRevisions: 0, rolledBack: 0 };
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(new Problem('demo_incomplete', `not done within ${LIMIT_MS / 1000} s`)), LIMIT_MS);
  const startedMs = performance.now();
  let isOver = false;
  let stage: Stage | undefined;
  let failure: unknown;
  try {
    const wanted = { devices: flags.devices, port: flags.port, dataDir: flags.data, say: out.line, warn: out.warn };
    const onEvent = (event: LiveEvent): void => {
      if (isOver) tellEvent(event, out);
    };
    stage = await openStage({ ...wanted, onEvent }, AbortSignal.any([interrupted, limit.signal]));
    out.line(`All ${stage.devices.length} devices run what their repositories say (${secondsSince(startedMs)}).`);
    await pushGoodCommits(stage, out, observed);
    await pushInvalidCommit(stage, out, observed);
    await pushUnhealthyCommit(stage, out, observed);
    clearTimeout(timer);
    isOver = true;
    sayTimes(observed, out, startedMs);
    if (flags.exit !== true) await stayUp(stage, out);
  } catch (error) {
    failure = error;
  } finally {
    clearTimeout(timer);
    await stage?.close();
  }
  return { ...observed, devices: stage?.devices.length ?? 0, failure };
}

function sayTimes(observed: Observed, out: Output, startedMs: number): void {
  const hooks = observed.arrivals.flatMap(({ sinceHookMs }) => sinceHookMs ?? []);
  const push = pushToApplied(observed);
  out.heading('Times');
  out.line(`  git push to applied     p50 ${push.p50} ms, p99 ${push.p99} ms`);
  if (hooks.length > 0) out.line(`  webhook to applied      p50 ${percentile(hooks, 50)} ms, p99 ${percentile(hooks, 99)} ms`);
  out.line(`  the whole demonstration ${secondsSince(startedMs)}`);
}

/** @throws what broke the stage, unless it was told to end */
async function stayUp(stage: Stage, out: Output): Promise<void> {
  await sayWhatNext(stage, out);
  if (!stage.signal.aborted) await new Promise((done) => stage.signal.addEventListener('abort', done, { once: true }));
  const { reason } = stage.signal;
  if (!(reason instanceof Problem && reason.code === 'interrupted')) throw reason;
  out.line('\nStopping …');
}

function isComplete({ devices, arrivals, rejectedRevisions, rolledBack }: Outcome): boolean {
  return devices > 0 && arrivals.length === devices && rejectedRevisions === 1 && rolledBack === 1;
}

function summaryOf({ devices, arrivals, rejectedRevisions, rolledBack }: Outcome, ok: boolean) {
  return { devices, applied: arrivals.length, rejectedRevisions, rolledBack, pushToAppliedMs: pushToApplied({ arrivals }), ok };
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

function secondsSince(startedMs: number): string {
  return `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
}

function within(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const number = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
    if (!(number >= minimum && number <= maximum)) throw new InvalidArgumentError(`must be a whole number from ${minimum} to ${maximum}`);
    return number;
  };
}
