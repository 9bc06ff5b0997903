import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { type Fault, openGitHost, type TestGitHost } from '../test/support/git-host.ts';
import { postGitLabPush, SIGNING_TOKEN } from '../test/support/hooks.ts';
import { type LiveEvents, openLiveEvents } from './support/live.ts';
import { note, type Percentiles, percentiles, report, round } from './support/numbers.ts';
import { openStack, type Stack } from './support/stack.ts';

const IDLE_MS = 50;
const HALF_A_LIST = `0052${'1'.repeat(40)} HEAD symref-target:refs/heads/main\n003d${'1'.repeat(20)}`;
/** The host stops after the connection, after its headers, within the list of refs, or within the pack. */
const PHASES: readonly Fault[] = [
  { kind: 'hang' },
  { kind: 'stall', body: '' },
  { kind: 'stall', body: HALF_A_LIST, command: 'ls-refs' },
  { kind: 'spoil', how: 'stall', after: 160, command: 'fetch' },
];
const CREATED = z.object({ id: z.string(), hookUrl: z.string() });

type Followed = { name: string; hookUrl: string };

/**
 * Measures the cost of hanging hosts for pushes to healthy ones: the time from a hook to its prepared commit. It measures alone, at the moment
 * when all other hosts begin to hang and their hooks arrive at once, and later, while they hang.
 */
export async function benchNeighbours(args: string[], signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      pushes: { type: 'string', default: '100' },
      hung: { type: 'string', default: '40' },
      /** Enough sources that none gets another push within seconds and waits for its own last one. */
      healthy: { type: 'string', default: '40' },
      /** Time in which the first attempts at the hanging hosts end and their sources wait for the next one. */
      'settle-seconds': { type: 'string', default: '40' },
    },
  });
  const pushes = z.coerce.number().int().min(1).max(100_000).parse(values.pushes);
  const hung = z.coerce.number().int().min(1).max(1_000).parse(values.hung);
  const neighbours = z.coerce.number().int().min(1).max(1_000).parse(values.healthy);
  const settleMs = 1_000 * z.coerce.number().min(0).max(600).parse(values['settle-seconds']);
  await using stack = await openStack({ signal });
  await using live = await openLiveEvents(stack.url, stack.token, signal);
  const healthy = await healthySources(stack, live, neighbours);
  note(`${pushes} pushes alone`);
  const alone = await pushAll(stack, live, healthy, pushes, signal);
  await using broken = await hungSources(stack, hung);
  note(`${pushes} pushes while ${hung} hosts begin to hang`);
  await broken.wake();
  const onset = await pushAll(stack, live, healthy, pushes, signal);
  await sleep(settleMs, undefined, { signal });
  await broken.wake();
  note(`${pushes} pushes while they hang`);
  const later = await pushAll(stack, live, healthy, pushes, signal);
  printResults({ alone, onset, later }, { pushes, hung, healthy: neighbours, unanswered: broken.unanswered() });
}

async function healthySources(stack: Stack, live: LiveEvents, count: number): Promise<Followed[]> {
  const sources: Followed[] = [];
  for (let n = 0; n < count; n++) {
    const name = `healthy-${n}`;
    await stack.host.createRepository(name);
    const { hookUrl } = await stack.createSource(name, 'repo');
    sources.push({ name, hookUrl });
    await push(stack, live, { name, hookUrl }, 0);
  }
  return sources;
}

async function pushAll(
  stack: Stack,
  live: LiveEvents,
  sources: readonly Followed[],
  count: number,
  signal: AbortSignal,
): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    await sleep(IDLE_MS, undefined, { signal });
    const source = sources[n % sources.length];
    if (source !== undefined) times.push(await push(stack, live, source, n));
  }
  return times;
}

/** @returns ms from the start of the hook's request until the commit is prepared */
async function push(stack: Stack, live: LiveEvents, { name, hookUrl }: Followed, n: number): Promise<number> {
  const commit = await stack.host.commit(name, { 'app.json': JSON.stringify({ n, at: Date.now() }) });
  const started = performance.now();
  const prepared = live.next(`${name} to be prepared`, ({ type, data }) => type === 'revision.prepared' && data.commit === commit, 120_000);
  const answer = await postGitLabPush(hookUrl, { after: commit });
  if (answer.status !== 202) throw new Error(`The hook was answered ${answer.status}: ${await answer.text()}`);
  await prepared;
  return performance.now() - started;
}

async function hungSources(stack: Stack, count: number) {
  const hosts: TestGitHost[] = [];
  const hookUrls: string[] = [];
  for (let n = 0; n < count; n++) {
    const host = await openGitHost();
    hosts.push(host);
    const url = await host.createRepository('hung');
    await host.commit('hung', { 'app.json': '{}' });
    const fault = PHASES[n % PHASES.length];
    if (fault !== undefined) host.fault('hung', fault);
    const webhook = { provider: 'gitlab', secret: SIGNING_TOKEN };
    const source = { name: `hung-${n}`, url, layout: 'repo', webhook, pollIntervalSeconds: 5 };
    hookUrls.push(CREATED.parse(await stack.api.send('POST', '/sources', source)).hookUrl);
  }
  return {
    /** Pushes to all of them at once. */
    wake: () => Promise.all(hookUrls.map((hookUrl) => postGitLabPush(hookUrl, { after: 'a'.repeat(40) }))),
    unanswered: () => hosts.reduce((sum, host) => sum + host.unanswered(), 0),
    async [Symbol.asyncDispose](): Promise<void> {
      for (const host of hosts) await host.close();
    },
  };
}

type Series = Record<'alone' | 'onset' | 'later', number[]>;

type Run = { pushes: number; hung: number; healthy: number; unanswered: number };

function printResults(series: Series, run: Run): void {
  const { pushes, hung, healthy } = run;
  const alone = percentiles(series.alone);
  const onset = percentiles(series.onset);
  const later = percentiles(series.later);
  const ratioOf = (seen: Percentiles) => ({ p50: round(seen.p50 / alone.p50, 2), p99: round(seen.p99 / alone.p99, 2) });
  const shown = ({ p50, p99 }: Percentiles, unit: string) => `p50 ${p50}${unit}  p99 ${p99}${unit}`;
  const rows = [
    { what: 'hook → prepared, alone', seen: shown(alone, ' ms') },
    { what: `… while ${hung} hosts begin to hang`, seen: shown(onset, ' ms') },
    { what: `… while they hang`, seen: shown(later, ' ms') },
    { what: 'ratio, begin to hang', seen: shown(ratioOf(onset), ' ×') },
    { what: 'ratio, hang', seen: shown(ratioOf(later), ' ×'), limit: 'others do not notice' },
  ];
  const synced = series.alone.length + series.onset.length + series.later.length;
  report(`${pushes} pushes each to ${healthy} sources beside ${hung} that hang`, rows, {
    bench: 'neighbours',
    ...run,
    synced,
    aloneMs: alone,
    onsetMs: onset,
    laterMs: later,
    ratioOnset: ratioOf(onset),
    ratioLater: ratioOf(later),
  });
}
