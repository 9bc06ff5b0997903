import { type FSWatcher, watch } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { FLUSH, packet } from '../src/git/protocol/pkt-line.ts';
import { postGitLabPush } from '../test/support/hooks.ts';
import { type LiveEvents, openLiveEvents } from './support/live.ts';
import { note, percentiles, report } from './support/numbers.ts';
import { startProgram } from './support/processes.ts';
import { openStack, type Stack } from './support/stack.ts';
import { TARGETS } from './support/targets.ts';

const DEVICE = 'bench-1';
const REPOSITORY = 'device';
/** Pause after a completed push, so that the device is idle at the next one. */
const IDLE_MS = 50;
const APPLY_TIMEOUT_MS = 30_000;
const MANIFEST = `apiVersion: bellwether/v1
kind: DeviceConfig
validate:
  - files: app.json
    schema: app.schema.json
files:
  - from: app.json
`;
const SCHEMA = JSON.stringify({ type: 'object', required: ['push'], properties: { push: { type: 'integer', minimum: 0 } } });

type Pushed = { hookMs: number; appliedMs: number; reportedMs: number };

/** Measures the time from a push until one idle device with a real agent runs the new files, and the time of a hook during a stream of hooks. */
export async function benchPush(args: string[], signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      pushes: { type: 'string', default: '200' },
      'hook-rate': { type: 'string', default: '200' },
      'hook-seconds': { type: 'string', default: '5' },
      'hook-sources': { type: 'string', default: '20' },
      profile: { type: 'string' },
    },
  });
  const pushes = z.coerce.number().int().min(1).max(100_000).parse(values.pushes);
  const rate = z.coerce.number().min(1).max(10_000).parse(values['hook-rate']);
  const seconds = z.coerce.number().min(0).max(600).parse(values['hook-seconds']);
  const sources = z.coerce.number().int().min(1).max(1_000).parse(values['hook-sources']);
  await using stack = await openStack({ profileDir: values.profile, signal });
  await using live = await openLiveEvents(stack.url, stack.token, signal);
  const device = await startDevice(stack, values.profile);
  await using agent = device.agent;
  using folder = watchCurrent(device.root);
  note(`device with agent ${agent.pid}; ${pushes} pushes`);
  const times: Pushed[] = [];
  await push(stack, live, folder, device.hookUrl, 0);
  for (let n = 1; n <= pushes; n++) {
    signal.throwIfAborted();
    await sleep(IDLE_MS, undefined, { signal });
    times.push(await push(stack, live, folder, device.hookUrl, n));
  }
  note(`${rate} hooks/s for ${seconds} s to ${sources} sources`);
  const hooks = await streamHooks(await settledSources(stack, live, sources), rate, seconds);
  printResults(times, hooks, { pushes, rate, sources });
}

async function startDevice(stack: Stack, profileDir: string | undefined) {
  await stack.host.createRepository(REPOSITORY);
  const source = await stack.createSource(REPOSITORY, 'repo');
  const registered = await stack.api.send('POST', '/devices', { id: DEVICE, type: 'bench', sourceId: source.id });
  const { apiKey } = z.object({ apiKey: z.string() }).parse(registered);
  const root = join(stack.folder, 'agent');
  await mkdir(root);
  const args = ['--server', stack.url, '--root', root, '--device-id', DEVICE, '--api-key', apiKey, '--log-level', 'warn'];
  return { root, hookUrl: source.hookUrl, agent: startProgram('agent/main.ts', { args, profileDir }) };
}

/** Commits, then measures from the start of the hook's request. */
async function push(stack: Stack, live: LiveEvents, folder: CurrentFolder, hookUrl: string, n: number): Promise<Pushed> {
  const files = { 'bellwether.yaml': MANIFEST, 'app.schema.json': SCHEMA, 'app.json': JSON.stringify({ push: n }) };
  const commit = await stack.host.commit(REPOSITORY, files);
  const started = performance.now();
  const applied = folder.holds(n).then(() => performance.now() - started);
  const reported = live
    .next('the device to report success', ({ type, data }) => type === 'deployment.state' && data.state === 'succeeded')
    .then(() => performance.now() - started);
  const completed = live.next('the rollout to complete', ({ type }) => type === 'rollout.completed');
  const answer = await postGitLabPush(hookUrl, { after: commit });
  const hookMs = performance.now() - started;
  if (answer.status !== 202) throw new Error(`The hook was answered ${answer.status}: ${await answer.text()}`);
  const [appliedMs, reportedMs] = await Promise.all([applied, reported, completed]);
  return { hookMs, appliedMs, reportedMs };
}

type CurrentFolder = Disposable & { holds(n: number): Promise<void> };

/** Reads the device's `current` after each swap. */
function watchCurrent(root: string): CurrentFolder {
  let check: () => void = () => {};
  const watcher: FSWatcher = watch(root, () => check());
  const present = async (): Promise<unknown> => JSON.parse(await readFile(join(root, 'current', 'app.json'), 'utf8').catch(() => '{}'));
  return {
    holds: (n) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`The device did not apply push ${n} within ${APPLY_TIMEOUT_MS} ms`)),
          APPLY_TIMEOUT_MS,
        );
        check = () => {
          void present().then((config) => {
            if (z.object({ push: z.literal(n) }).safeParse(config).success) {
              clearTimeout(timer);
              resolve();
            }
          }, reject);
        };
      }),
    [Symbol.dispose]: () => watcher.close(),
  };
}

type Hooked = { hookUrl: string; head: string };

/** Creates sources and lets the service check each once. Then the Git host answers from memory, so that it uses little processor time. */
async function settledSources(stack: Stack, live: LiveEvents, count: number): Promise<Hooked[]> {
  const sources: Hooked[] = [];
  for (let n = 1; n <= count; n++) {
    await stack.host.createRepository(`hooked-${n}`);
    const head = await stack.host.commit(`hooked-${n}`, { 'app.json': '{}' });
    const source = await stack.createSource(`hooked-${n}`, 'repo');
    await live.next('the check of the source', ({ type, subject }) => type === 'revision.prepared' && subject === `source:${source.id}`);
    sources.push({ hookUrl: source.hookUrl, head });
    const refs = [`${head} HEAD symref-target:refs/heads/main`, `${head} refs/heads/main`].map((line) => packet(`${line}\n`));
    const headers = { 'content-type': 'application/x-git-upload-pack-result' };
    stack.host.fault(`hooked-${n}`, { kind: 'body', body: [...refs, FLUSH].join(''), headers });
  }
  return sources;
}

/** Sends hooks at a fixed rate, whether or not earlier ones were answered. @returns the time of each until its 202, ms */
async function streamHooks(sources: readonly Hooked[], perSecond: number, seconds: number): Promise<number[]> {
  const sent: Promise<number>[] = [];
  const started = performance.now();
  for (let n = 0; n < perSecond * seconds; n++) {
    const waitMs = started + (n * 1000) / perSecond - performance.now();
    if (waitMs > 1) await sleep(waitMs);
    const source = sources[n % sources.length];
    if (source !== undefined) sent.push(timeHook(source));
  }
  return Promise.all(sent);
}

async function timeHook({ hookUrl, head }: Hooked): Promise<number> {
  const started = performance.now();
  const answer = await postGitLabPush(hookUrl, { after: head });
  const tookMs = performance.now() - started;
  await answer.arrayBuffer();
  if (answer.status !== 202) throw new Error(`A hook was answered ${answer.status}, must be 202`);
  return tookMs;
}

function printResults(
  times: readonly Pushed[],
  hooks: readonly number[],
  { pushes, rate, sources }: { pushes: number; rate: number; sources: number },
): void {
  const pushToAppliedMs = percentiles(times.map((time) => time.appliedMs));
  const pushToReportedMs = percentiles(times.map((time) => time.reportedMs));
  const idleHookMs = percentiles(times.map((time) => time.hookMs));
  const hookAcceptedMs = hooks.length === 0 ? idleHookMs : percentiles(hooks);
  const shown = ({ p50, p99 }: { p50: number; p99: number }) => `p50 ${p50} ms  p99 ${p99} ms`;
  const rows = [
    { what: 'hook → device runs the new files', seen: shown(pushToAppliedMs), limit: TARGETS.pushToApplied },
    { what: 'hook → success seen live', seen: shown(pushToReportedMs) },
    { what: 'hook → 202, idle', seen: shown(idleHookMs) },
    { what: `hook → 202, ${rate} hooks/s, ${sources} sources`, seen: shown(hookAcceptedMs), limit: TARGETS.hookAccepted },
  ];
  report(`${pushes} pushes, one device`, rows, {
    bench: 'push',
    pushes,
    applied: times.length,
    pushToAppliedMs,
    pushToReportedMs,
    hookAcceptedMs,
    idleHookMs,
    hooks: hooks.length,
    hookRate: rate,
    hookSources: sources,
  });
}
