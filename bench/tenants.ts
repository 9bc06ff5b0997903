import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { io } from 'socket.io-client';
import { z } from 'zod';
import { createClient } from '../src/cli/client.ts';
import { mintToken } from '../src/crypto/tokens.ts';
import { postGitLabPush, SIGNING_TOKEN } from '../test/support/hooks.ts';
import { commitFleet, hostileRepository } from '../test/support/hostile.ts';
import { type LiveEvents, openLiveEvents } from './support/live.ts';
import { note, percentiles, report, round } from './support/numbers.ts';
import { openStack, type Stack } from './support/stack.ts';
import { TARGETS } from './support/targets.ts';

const IDLE_MS = 100;
const ROOT_TOKEN = mintToken('token').padEnd(40, 'x');
const CREATED = z.object({ id: z.string(), hookUrl: z.string() });
const MADE = z.object({ adminToken: z.string() });
/** Needs the regular expression engine that backtracks. */
const WILD = {
  'app.json': `{"name":"${'a'.repeat(60)}!"}`,
  's.json': JSON.stringify({ properties: { name: { pattern: '^(?=a)(a+)+$' } } }),
  'bellwether.yaml': 'apiVersion: bellwether/v1\nkind: DeviceConfig\nvalidate:\n  - { files: app.json, schema: s.json }\n',
};

type Followed = { name: string; hookUrl: string };
/** Starts a load of organization A; the result stops it. */
type Load = { what: string; begin(stack: Stack, signal: AbortSignal): Promise<() => Promise<void>> };

const LOADS: readonly Load[] = [
  { what: 'four fleets of 60 folders that run out of time', begin: hostileFleets },
  { what: 'ten hanging repositories on the same host', begin: hangingRepositories },
  { what: 'a flood of signed hooks with text that cannot be stored', begin: hookFlood },
  { what: 'wrong tokens at Socket.IO', begin: wrongTokens },
];

/** Measures organization B's push of one file, from its hook to its prepared commit: alone, and beside each load of organization A in turn. */
export async function benchTenants(args: string[], signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({ args, options: { pushes: { type: 'string', default: '30' } } });
  const pushes = z.coerce.number().int().min(1).max(10_000).parse(values.pushes);
  await using stack = await openStack({ env: { BELLWETHER_ROOT_TOKEN: ROOT_TOKEN }, signal });
  const root = createClient({ server: stack.url, token: ROOT_TOKEN, signal });
  const { adminToken } = MADE.parse(await root.send('POST', '/organizations', { name: 'b' }));
  const b = createClient({ server: stack.url, token: adminToken, signal });
  await using live = await openLiveEvents(stack.url, adminToken, signal);
  const sources: Followed[] = [];
  for (let n = 0; n < 10; n++) {
    const name = `quiet-${n}`;
    const url = await stack.host.createRepository(name);
    const webhook = { provider: 'gitlab', secret: SIGNING_TOKEN };
    const created = await b.send('POST', '/sources', { name, url, layout: 'repo', webhook, pollIntervalSeconds: 3600 });
    sources.push({ name, hookUrl: CREATED.parse(created).hookUrl });
  }
  await pushAll(stack, live, sources, 10, signal);
  const seen = [];
  for (const { what, begin } of LOADS) {
    note(`${pushes} pushes alone, then beside ${what}`);
    const alone = percentiles(await pushAll(stack, live, sources, pushes, signal));
    const end = await begin(stack, signal);
    const beside = percentiles(await pushAll(stack, live, sources, pushes, signal).finally(end));
    seen.push({ what, alone, beside, ratio: { p50: round(beside.p50 / alone.p50, 2), p99: round(beside.p99 / alone.p99, 2) } });
  }
  const rows = seen.map(({ what, alone, beside, ratio }) => ({
    what,
    seen: `p50 ${alone.p50} → ${beside.p50} ms (${ratio.p50} ×)  p99 ${alone.p99} → ${beside.p99} ms (${ratio.p99} ×)`,
    limit: TARGETS.tenants,
  }));
  report(`${pushes} pushes of one organization, alone → beside another`, rows, { bench: 'tenants', pushes, seen });
}

async function pushAll(
  { host }: Stack,
  live: LiveEvents,
  sources: readonly Followed[],
  count: number,
  signal: AbortSignal,
): Promise<number[]> {
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

async function hostileFleets(stack: Stack): Promise<() => Promise<void>> {
  const ids: string[] = [];
  for (let n = 0; n < 4; n++) {
    const fleet = await hostileRepository(stack.host, `fleet-${n}`);
    const wild = await fleet.tree(WILD);
    await commitFleet(fleet, Object.fromEntries(Array.from({ length: 60 }, (_, folder) => [`w${folder}`, wild])));
    ids.push((await stack.createSource(`fleet-${n}`, 'fleet')).id);
  }
  return () => removeAll(stack, ids);
}

async function hangingRepositories(stack: Stack): Promise<() => Promise<void>> {
  const ids: string[] = [];
  for (let n = 0; n < 10; n++) {
    await stack.host.createRepository(`hung-${n}`);
    stack.host.fault(`hung-${n}`, { kind: 'hang' });
    ids.push((await stack.createSource(`hung-${n}`, 'repo')).id);
  }
  return () => removeAll(stack, ids);
}

async function removeAll({ api }: Stack, ids: readonly string[]): Promise<void> {
  for (const id of ids) await api.send('DELETE', `/sources/${id}`);
}

async function hookFlood(stack: Stack, signal: AbortSignal): Promise<() => Promise<void>> {
  await stack.host.createRepository('flooded');
  const { id, hookUrl } = await stack.createSource('flooded', 'repo');
  const end = repeatedly(20, signal, async (n) => {
    await (await postGitLabPush(hookUrl, { ref: `refs/heads/a\0b${n}`, after: 'a'.repeat(40) })).arrayBuffer();
  });
  return async () => {
    await end();
    await removeAll(stack, [id]);
  };
}

async function wrongTokens({ url }: Stack, signal: AbortSignal): Promise<() => Promise<void>> {
  return repeatedly(20, signal, () => {
    const refused = Promise.withResolvers<void>();
    const options = {
      auth: { token: mintToken('token') },
      transports: ['websocket'],
      reconnection: false,
      forceNew: true,
      timeout: 10_000,
    };
    const socket = io(url, options).on('connect_error', () => refused.resolve());
    return refused.promise.finally(() => socket.close());
  });
}

/** Limit per second. More would measure this process, which shares the processors with the service. */
const PER_SECOND = 200;

function repeatedly(lanes: number, signal: AbortSignal, act: (n: number) => Promise<void>): () => Promise<void> {
  let isOver = false;
  const lane = async (first: number) => {
    for (let n = first; !isOver && !signal.aborted; n += lanes) {
      await Promise.all([act(n).catch(() => undefined), sleep((1_000 * lanes) / PER_SECOND)]);
    }
  };
  const running = Promise.all(Array.from({ length: lanes }, (_, n) => lane(n)));
  return async () => {
    isOver = true;
    await running;
  };
}
