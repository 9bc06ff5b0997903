import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openGolioth } from '../../src/demo/vendors/golioth/server.ts';
import { openHttpGateway } from '../../src/demo/vendors/http/server.ts';
import type { VendorRequest, VendorServer } from '../../src/demo/vendors/vendor-server.ts';
import { openTestDatabase } from '../support/database.ts';
import { openGitHost } from '../support/git-host.ts';
import { ADMIN_TOKEN, clientOf, eventually } from '../support/service.ts';
import { startServiceProcess } from '../support/service-process.ts';

type Subject<Server extends VendorServer> = {
  type: string;
  start(): Promise<Server>;
  /** The file of commit `n`. */
  file(n: number): Record<string, string>;
  /** Everything that the platform has for the device, with traces of writes that were made twice. */
  held(server: Server, externalId: string): unknown;
  /** The same after `n` commits. */
  wanted(n: number): unknown;
  isWrite(request: VendorRequest): boolean;
};

/** The service on one database, in a process that `kill` ends with SIGKILL. */
async function openService(opened: AsyncDisposableStack) {
  const database = opened.adopt(await openTestDatabase(), (one) => one.close());
  const folder = opened.adopt(await mkdtemp(join(tmpdir(), 'bellwether-push-')), (path) => rm(path, { recursive: true, force: true }));
  const env = {
    DATA_DIR: folder,
    DATABASE_URL: database.url,
    BELLWETHER_ADMIN_TOKEN: ADMIN_TOKEN,
    BELLWETHER_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
    ALLOW_PRIVATE_INTEGRATION_HOSTS: 'true',
    LOG_LEVEL: 'info',
  };
  const start = () => startServiceProcess(env, () => {});
  let service = await start();
  opened.defer(() => service.close());
  return {
    send: async (method: string, path: string, body?: unknown) => {
      const answer = await clientOf(service.url, ADMIN_TOKEN)(method, path, body);
      if (answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`);
      return answer.body;
    },
    states: async () =>
      (await database.sql<{ state: string }[]>`select state from deployments where device_id = 'till' order by id`).map(
        ({ state }) => state,
      ),
    kill: () => process.kill(service.pid, 'SIGKILL'),
    startAgain: async () => {
      await service.ended;
      service = await start();
    },
  };
}

async function killedPushes<Server extends VendorServer>({ type, start, file, held, wanted, isWrite }: Subject<Server>): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const platform = opened.adopt(await start(), (one) => one.close());
  const externalId = platform.addDevice({ name: 'till' });
  const host = opened.use(await openGitHost());
  const service = await openService(opened);
  const { settings, credentials } = platform;
  await service.send('POST', '/integrations', { type, name: type, settings, credentials, autoSync: false });
  const url = await host.createRepository('till');
  const { id: sourceId } = await service.send('POST', '/sources', { name: 'till', url, layout: 'repo', pollIntervalSeconds: 5 });
  await service.send('POST', '/devices', { id: 'till', type: 'x', adapter: type, sourceId });
  await service.send('POST', `/integrations/${type}/assignments`, { deviceId: 'till', externalId });
  /** Each commit is one attempt, however often its process died. */
  const arrives = (n: number) =>
    eventually(`commit ${n} at the platform`, async () => {
      const states = await service.states();
      expect(states.length).toBeLessThanOrEqual(n);
      return states.length === n && states.every((state) => state === 'succeeded');
    });
  await host.commit('till', file(1));
  await arrives(1);
  expect(held(platform, externalId)).toEqual(wanted(1));
  const requests = [...platform.requests];
  const firstWrite = requests.findIndex(isWrite);
  // While it prepares, at each write, while it verifies, and where the platform has it, while it confirms.
  const points = [0, ...requests.keys().filter((at) => at >= firstWrite)];
  expect(points.length).toBeGreaterThan(3);
  for (const [index, point] of points.entries()) {
    const n = index + 2;
    const killed = Promise.withResolvers<void>();
    const kill = () => {
      service.kill();
      killed.resolve();
    };
    // The platform carries the request out, and nobody gets the answer.
    if (point > 0) platform.faults.push({ times: point, do: { is: 'run', what: () => {} } });
    platform.faults.push({ do: { is: 'run', what: kill } });
    await host.commit('till', file(n));
    await killed.promise;
    await service.startAgain();
    await arrives(n);
    expect(held(platform, externalId), `killed at ${requests[point]?.method} ${requests[point]?.path}`).toEqual(wanted(n));
  }
}

test.concurrent('a push whose process is killed at any step ends at the gateway with one token and the new configuration', {
  timeout: 300_000,
}, () => {
  const tokensOf = (requests: readonly VendorRequest[]) =>
    new Set(requests.flatMap(({ body }) => (body as { token?: string } | undefined)?.token ?? []));
  return killedPushes({
    type: 'http',
    start: () => openHttpGateway(),
    file: (n) => ({ 'http.json': JSON.stringify({ n }) }),
    held: (server, id) => {
      server.expireTrials();
      return { runs: server.runs(id), tokens: tokensOf(server.requests).size };
    },
    wanted: (n) => ({ runs: { n }, tokens: n }),
    isWrite: ({ method, path }) => method === 'POST' && !path.endsWith('/check'),
  });
});

test.concurrent('a push whose process is killed at any step ends at Golioth with one override per setting', { timeout: 300_000 }, () =>
  killedPushes({
    type: 'golioth',
    start: async () => {
      const server = await openGolioth();
      server.addSetting('DELAY', 'integer', 60);
      return server;
    },
    file: (n) => ({ 'golioth.yaml': `settings: { DELAY: ${n} }\nstate: { n: ${n} }\n` }),
    held: ({ device, project }, id) => ({
      settings: project.settings.filter(({ deviceId }) => deviceId === id).map(({ key, value }) => ({ key, value })),
      state: device(id).tree.desired,
    }),
    wanted: (n) => ({ settings: [{ key: 'DELAY', value: n }], state: expect.objectContaining({ n }) }),
    isWrite: ({ method }) => method !== 'GET',
  }),
);
