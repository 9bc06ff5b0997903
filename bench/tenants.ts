import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { createClient } from '../src/cli/client.ts';
import { mintToken } from '../src/crypto/tokens.ts';
import { postGitLabPush, SIGNING_TOKEN } from '../test/support/hooks.ts';
import { type LiveEvents, openLiveEvents } from './support/live.ts';
import { note, percentiles, report, round } from './support/numbers.ts';
import { cpuSeconds, type Program, startProgram } from './support/processes.ts';
import { LOADS, LoadDone, type LoadName, type LoadOrder } from './support/programs/tenant-load-messages.ts';
import { openStack, type Stack } from './support/stack.ts';
import { TARGETS } from './support/targets.ts';

const IDLE_MS = 50;
const SOURCES = 10;
/** Pushes before the first measurement: Node compiles code in the first seconds. */
const WARM_UP = 50;
/** Pushes alone and beside the load alternate in so many parts, so that both see the same changes of the machine. */
const ROUNDS = 2;
const ROOT_TOKEN = mintToken('token').padEnd(40, 'x');
const CREATED = z.object({ id: z.string(), hookUrl: z.string() });
const MADE = z.object({ adminToken: z.string() });

type Followed = { name: string; hookUrl: string };
type Scene = { stack: Stack; live: LiveEvents; sources: readonly Followed[]; hungUrls: string[]; signal: AbortSignal };

/** Measures organization B's push of one file, from its hook to its prepared commit: alone, and beside each load of organization A in turn. */
export async function benchTenants(args: string[], signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({ args, options: { pushes: { type: 'string', default: '100' }, load: { type: 'string' } } });
  const pushes = z.coerce.number().int().min(1).max(10_000).parse(values.pushes);
  const loads = z
    .enum(Object.keys(LOADS) as LoadName[])
    .array()
    .parse(values.load === undefined ? Object.keys(LOADS) : [values.load]);
  await using stack = await openStack({ env: { BELLWETHER_ROOT_TOKEN: ROOT_TOKEN }, signal });
  const root = createClient({ server: stack.url, token: ROOT_TOKEN, signal });
  const { adminToken } = MADE.parse(await root.send('POST', '/organizations', { name: 'b' }));
  await using live = await openLiveEvents(stack.url, adminToken, signal);
  const sources = await createSources(stack, adminToken, signal);
  const scene = { stack, live, sources, hungUrls: await hungRepositories(stack), signal };
  note(`${WARM_UP} pushes to warm up`);
  await pushAll(scene, Math.min(WARM_UP, pushes));
  const seen = [];
  for (const load of loads) seen.push(await compare(scene, load, pushes));
  const rows = seen.map(({ what, alone, beside, ratio }) => ({
    what,
    seen: `p50 ${alone.p50} → ${beside.p50} ms (${ratio.p50} ×)  p99 ${alone.p99} → ${beside.p99} ms (${ratio.p99} ×)`,
    limit: TARGETS.tenants,
  }));
  report(`${pushes} pushes of one organization, alone → beside another`, rows, { bench: 'tenants', pushes, seen });
}

async function createSources(stack: Stack, token: string, signal: AbortSignal): Promise<Followed[]> {
  const b = createClient({ server: stack.url, token, signal });
  const sources: Followed[] = [];
  for (let n = 0; n < SOURCES; n++) {
    const name = `quiet-${n}`;
    const url = await stack.host.createRepository(name);
    const webhook = { provider: 'gitlab', secret: SIGNING_TOKEN };
    const created = await b.send('POST', '/sources', { name, url, layout: 'repo', webhook, pollIntervalSeconds: 3600 });
    sources.push({ name, hookUrl: CREATED.parse(created).hookUrl });
  }
  return sources;
}

/** They are on the host of the other organization's repositories. */
async function hungRepositories({ host }: Stack): Promise<string[]> {
  const urls: string[] = [];
  for (let n = 0; n < 10; n++) {
    urls.push(await host.createRepository(`hung-${n}`));
    host.fault(`hung-${n}`, { kind: 'hang' });
  }
  return urls;
}

async function compare(scene: Scene, load: LoadName, pushes: number) {
  const { stack, hungUrls, signal } = scene;
  await using program = startProgram('bench/support/programs/tenant-load.ts', { messages: true });
  const [alone, beside]: [number[], number[]] = [[], []];
  const rounds = Math.min(ROUNDS, pushes);
  for (let part = 1; part <= rounds; part++) {
    const count = Math.floor((pushes * part) / rounds) - alone.length;
    note(`${count} pushes alone, then beside ${LOADS[load]}: ${part} of ${rounds}`);
    alone.push(...(await pushAll(scene, count)));
    await order(program, { act: 'begin', load, url: stack.url, token: stack.token, hungUrls }, signal);
    await sleep(RISE_MS, undefined, { signal });
    beside.push(...(await pushAll(scene, count)));
    await order(program, { act: 'end' }, signal);
    await untilQuiet(stack, load, signal);
  }
  const [a, b] = [percentiles(alone), percentiles(beside)];
  return { what: LOADS[load], alone: a, beside: b, ratio: { p50: round(b.p50 / a.p50, 2), p99: round(b.p99 / a.p99, 2) } };
}

/** The load has reached its full extent after this time. */
const RISE_MS = 1_000;

async function order({ child, output }: Program, message: LoadOrder, signal: AbortSignal): Promise<void> {
  child.send(message);
  const settled = new AbortController();
  const until = { signal: AbortSignal.any([signal, settled.signal]) };
  const ended = once(child, 'close', until).then(() => {
    throw new Error(`The process of the load ended:\n${output()}`);
  });
  ended.catch(() => undefined);
  const [answer] = await Promise.race([once(child, 'message', until), ended]).finally(() => settled.abort());
  LoadDone.parse(answer);
}

const QUIET_CHECK_MS = 500;
/** A tenth of a processor. */
const QUIET_USE = QUIET_CHECK_MS / 10 / 1_000;
const QUIET_TIMEOUT_MS = 240_000;

/** After slow commits an organization rests for up to 30 s. The load begins anew only afterwards, so that each part measures its first, worst seconds. */
const QUIET_FOR_MS: Record<LoadName, number> = { fleets: 32_000, hanging: 0, hooks: 0, tokens: 0 };

/** Waits until the service has finished the other organization's work: it uses almost no processor time. */
async function untilQuiet({ service }: Stack, load: LoadName, signal: AbortSignal): Promise<void> {
  const endsAt = performance.now() + QUIET_TIMEOUT_MS;
  let usedAt = performance.now();
  for (let used = Number.POSITIVE_INFINITY; used > QUIET_USE || performance.now() - usedAt < QUIET_FOR_MS[load]; ) {
    if (used > QUIET_USE) usedAt = performance.now();
    if (performance.now() > endsAt) throw new Error(`The service was not quiet within ${QUIET_TIMEOUT_MS / 1_000} s after the load`);
    const before = await cpuSeconds(service.pid);
    await sleep(QUIET_CHECK_MS, undefined, { signal });
    used = (await cpuSeconds(service.pid)) - before;
  }
}

async function pushAll({ stack: { host }, live, sources, signal }: Scene, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    await sleep(IDLE_MS, undefined, { signal });
    const source = sources[n % sources.length];
    if (source === undefined) break;
    const commit = await host.commit(source.name, { 'app.json': JSON.stringify({ n, at: Date.now() }) });
    const started = performance.now();
    const prepared = live.next(source.name, ({ type, data }) => type === 'revision.prepared' && data.commit === commit, 120_000);
    const answer = await postGitLabPush(source.hookUrl, { after: commit });
    if (answer.status !== 202) throw new Error(`The hook was answered ${answer.status}: ${await answer.text()}`);
    await prepared;
    times.push(performance.now() - started);
  }
  return times;
}
