import { constants, setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { io } from 'socket.io-client';
import { Agent, setGlobalDispatcher } from 'undici';
import { z } from 'zod';
import { type ApiClient, createClient } from '../../../src/cli/client.ts';
import { mintToken } from '../../../src/crypto/tokens.ts';
import { openGitHost } from '../../../test/support/git-host.ts';
import { postGitLabPush, SIGNING_TOKEN } from '../../../test/support/hooks.ts';
import { commitFleet, hostileRepository } from '../../../test/support/hostile.ts';
import { LoadOrder } from './tenant-load-messages.ts';

/**
 * A process that loads the service as organization A. In reality its processors are those of another machine. Here it shares them, so that it has the
 * lowest priority: it uses only the time that the service, the database and organization B leave. Its children (Git) inherit the priority.
 */
setPriority(constants.priority.PRIORITY_LOW);

/** An address of its own, as another customer has: the service counts failures by address. Only Linux has all of 127.0.0.0/8. */
const OWN_ADDRESS = process.platform === 'linux' ? { localAddress: '127.0.0.2' } : {};
setGlobalDispatcher(new Agent({ connect: OWN_ADDRESS }));

type Begin = Extract<LoadOrder, { act: 'begin' }>;
type End = () => Promise<void>;

const BEGIN: Record<Begin['load'], (order: Begin, api: ApiClient) => Promise<End>> = {
  fleets: hostileFleets,
  hanging: hangingRepositories,
  hooks: hookFlood,
  tokens: wrongTokens,
};
const CREATED = z.object({ id: z.string(), hookUrl: z.string() });
/** Sent per second. */
const PER_SECOND = 200;
/** Requests at once. */
const LANES = 20;

const host = await openGitHost();
let end: End = async () => undefined;
process.on('message', (message: unknown) => {
  obey(LoadOrder.parse(message)).then(
    (done) => process.send?.({ done }),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});
process.once('SIGTERM', () => void host.close().finally(() => process.exit(0)));

async function obey(order: LoadOrder): Promise<LoadOrder['act']> {
  const api = order.act === 'begin' ? createClient({ server: order.url, token: order.token, signal: new AbortController().signal }) : null;
  if (order.act === 'end' || api === null) await end();
  else end = await BEGIN[order.load](order, api);
  return order.act;
}

async function createSource(api: ApiClient, name: string, url: string, layout: 'repo' | 'fleet') {
  const webhook = { provider: 'gitlab', secret: SIGNING_TOKEN };
  return CREATED.parse(await api.send('POST', '/sources', { name, url, layout, webhook, pollIntervalSeconds: 3600 }));
}

async function removeAll(api: ApiClient, sources: readonly { id: string }[]): Promise<void> {
  for (const { id } of sources) await api.send('DELETE', `/sources/${id}`);
}

let commits = 0;

/** New commits follow while the load lasts, so that the service always has one to prepare: each uses 4 s of a processor. */
async function hostileFleets(_order: Begin, api: ApiClient): Promise<End> {
  const commit = async (name: string): Promise<string> => {
    commits += 1;
    const fleet = await hostileRepository(host, name);
    const wild = await fleet.tree({
      'app.json': JSON.stringify({ name: `${'a'.repeat(60)}!`, commits }),
      // Needs the regular expression engine that backtracks.
      's.json': JSON.stringify({ properties: { name: { pattern: '^(?=a)(a+)+$' } } }),
      'bellwether.yaml': 'apiVersion: bellwether/v1\nkind: DeviceConfig\nvalidate:\n  - { files: app.json, schema: s.json }\n',
    });
    return commitFleet(fleet, Object.fromEntries(Array.from({ length: 60 }, (_, folder) => [`w${folder}`, wild])));
  };
  const names = Array.from({ length: 4 }, (_, n) => `fleet-${n}`);
  for (const name of names) await commit(name);
  const sources = await Promise.all(names.map((name) => createSource(api, name, host.urlOf(name), 'fleet')));
  const stop = repeatedly(1, 0.1, async (n) => {
    const at = n % names.length;
    await post(sources[at]?.hookUrl ?? '', await commit(names[at] ?? ''));
  });
  return async () => {
    await stop();
    await removeAll(api, sources);
  };
}

async function hangingRepositories({ hungUrls }: Begin, api: ApiClient): Promise<End> {
  const sources = await Promise.all(hungUrls.map((url, n) => createSource(api, `hung-${n}`, url, 'repo')));
  // Hooks wake the sources, whose polls would pause after each failure.
  const stop = repeatedly(sources.length, sources.length, (n) => post(sources[n % sources.length]?.hookUrl ?? '', 'a'.repeat(40)));
  return async () => {
    await stop();
    await removeAll(api, sources);
  };
}

async function hookFlood(_order: Begin, api: ApiClient): Promise<End> {
  await host.createRepository('flooded');
  const source = await createSource(api, 'flooded', host.urlOf('flooded'), 'repo');
  const stop = repeatedly(LANES, PER_SECOND, (n) => post(source.hookUrl, 'a'.repeat(40), `refs/heads/a\0b${n}`));
  return async () => {
    await stop();
    await removeAll(api, [source]);
  };
}

async function wrongTokens({ url }: Begin): Promise<End> {
  const options = { transports: ['websocket'], reconnection: false, forceNew: true, timeout: 10_000, ...OWN_ADDRESS };
  return repeatedly(LANES, PER_SECOND, () => {
    const refused = Promise.withResolvers<void>();
    const socket = io(url, { ...options, auth: { token: mintToken('token') } }).on('connect_error', () => refused.resolve());
    return refused.promise.finally(() => socket.close());
  });
}

async function post(hookUrl: string, after: string, ref = 'refs/heads/main'): Promise<void> {
  await (await postGitLabPush(hookUrl, { ref, after })).arrayBuffer();
}

/** Acts so often per second, or less often if the answers take longer. */
function repeatedly(lanes: number, perSecond: number, act: (n: number) => Promise<void>): End {
  const stop = new AbortController();
  const lane = async (first: number) => {
    for (let n = first; !stop.signal.aborted; n += lanes) {
      const pause = sleep((1_000 * lanes) / perSecond, undefined, { signal: stop.signal }).catch(() => undefined);
      await Promise.all([act(n).catch(() => undefined), pause]);
    }
  };
  const running = Promise.all(Array.from({ length: lanes }, (_, n) => lane(n)));
  return async () => {
    stop.abort();
    await running;
  };
}
