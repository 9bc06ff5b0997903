import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbeddedPostgres } from '../../src/db/embedded.ts';
import { createLog } from '../../src/log.ts';
import { createDevice } from '../agent/device.ts';
import { openGitHost } from '../support/git-host.ts';
import { postGitLabPush, SIGNING_TOKEN } from '../support/hooks.ts';
import { openRelay } from '../support/relay.ts';
import { folder } from '../support/scene.ts';
import { ADMIN_TOKEN, clientOf } from '../support/service.ts';
import { logLine, startServiceProcess } from '../support/service-process.ts';

/** `stopped`: the database ends every connection and accepts none. `frozen`: connections stay open without an answer. */
export type Outage = 'stopped' | 'frozen';

export type OutageScene = Awaited<ReturnType<typeof openOutageScene>>;

const DEVICE = 'till-1';
const SETTINGS = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', shared_buffers: '32MB' };

/** A service process with its own PostgreSQL, which a test can stop, a Git host, and a device with a running agent. */
export async function openOutageScene() {
  const opened = new AsyncDisposableStack();
  try {
    const dir = await mkdtemp(join(tmpdir(), 'bellwether-outage-'));
    opened.defer(() => rm(dir, { recursive: true, force: true }));
    // As root the database runs under another account, which must be able to enter the folder.
    await chmod(dir, 0o711);
    const start = () => openEmbeddedPostgres(join(dir, 'database'), createLog('silent'), SETTINGS);
    let postgres = await start();
    opened.defer(() => postgres.close());
    const relay = await openRelay(() => `${new URL(postgres.url).searchParams.get('host')}/.s.PGSQL.5432`);
    opened.defer(() => relay.close());
    const host = opened.use(await openGitHost());
    const lines: Record<string, unknown>[] = [];
    const service = await startServiceProcess(
      {
        DATA_DIR: join(dir, 'data'),
        DATABASE_URL: `postgresql://bellwether@127.0.0.1:${relay.port}/bellwether`,
        BELLWETHER_ADMIN_TOKEN: ADMIN_TOKEN,
      },
      (line) => lines.push(logLine(line)),
    );
    opened.defer(() => service.close());
    const api = clientOf(service.url, ADMIN_TOKEN);
    const webhook = { provider: 'gitlab', secret: SIGNING_TOKEN };
    const source = { name: 'till', url: await host.createRepository('till'), layout: 'repo', webhook, pollIntervalSeconds: 3600 };
    const { id: sourceId, hookUrl } = (await api('POST', '/sources', source)).body;
    const { apiKey } = (await api('POST', '/devices', { id: DEVICE, type: 'till', sourceId })).body;
    const device = opened.use(await createDevice(service.url));
    await device.hook('reload', 'exit 0');
    await device.hook('check-config', 'exit 0');
    const agent = device.start({}, ['--device-id', DEVICE, '--api-key', apiKey]);
    const runs = async (vlan: number) => (await device.current())?.['app.json'] === `644 {"vlan":${vlan}}`;
    const closing = opened.move();
    return {
      ...{ service, api, device, agent, lines, hookUrl },
      /** Commits; `postHook` posts the hook. */
      commit: (vlan: number) => host.commit('till', folder({ vlan })),
      postHook: (after: string) => postGitLabPush(hookUrl, { after }),
      runs,
      /** Waits until the service confirmed the bundle: from then on the device does not roll back by itself. */
      isSettled: async (vlan: number) => (await runs(vlan)) && (await api('GET', `/devices/${DEVICE}/status`)).body.converged === true,
      ask: (path: string, init: RequestInit = {}) => fetch(`${service.url}${path}`, { ...init, signal: AbortSignal.timeout(60_000) }),
      asDevice: { 'x-device-id': DEVICE, 'x-api-key': apiKey as string, 'content-type': 'application/json' },
      /** Starts the outage. */
      takeAway: async (outage: Outage) => {
        relay.freeze();
        if (outage === 'frozen') return;
        relay.breakAll();
        await postgres.close();
        relay.thaw();
      },
      bringBack: async (outage: Outage) => {
        if (outage === 'stopped') postgres = await start();
        else relay.thaw();
      },
      [Symbol.asyncDispose]: () => closing.disposeAsync(),
    };
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

/** One request of each kind that needs the database. */
export function requests(scene: OutageScene): [what: string, ask: () => Promise<Response>][] {
  const { ask, asDevice, postHook } = scene;
  const admin = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' };
  const report = { id: randomUUID(), at: new Date().toISOString(), kind: 'log', level: 'info', message: 'told later' };
  return [
    ['a list', () => ask('/api/v1/devices', { headers: admin })],
    ['a change', () => ask('/api/v1/sites', { method: 'POST', headers: admin, body: '{"name":"north"}' })],
    ['a poll', () => ask('/agent/v1/desired?wait=0', { headers: asDevice })],
    ['a report', () => ask('/agent/v1/reports', { method: 'POST', headers: asDevice, body: JSON.stringify({ reports: [report] }) })],
    ['a bundle', () => ask(`/agent/v1/bundles/${'0'.repeat(64)}`, { headers: asDevice })],
    ['a hook', () => postHook('a'.repeat(40))],
  ];
}
