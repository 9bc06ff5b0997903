import { DEPOT, type Depot, serveDepot } from '../support/depot.ts';
import { type Answer, openService, type TestService } from '../support/service.ts';

export type Scene = {
  service: TestService;
  depot: Depot;
  id: string;
  sync(): Promise<Answer['body']>;
  settle(): Promise<void>;
  close(): Promise<void>;
};

/** A service with one integration that is synced on request alone. */
export async function openScene(settings: Record<string, unknown> = {}, devices = 0): Promise<Scene> {
  const depot = await serveDepot({ devices });
  const service = await openService({}, DEPOT);
  const id = await createDepot(service, depot, settings);
  return {
    service,
    depot,
    id,
    sync: () => syncOnce(service, id),
    settle: () => settle(service, id),
    close: async () => {
      await service.close();
      await depot.close();
    },
  };
}

export async function createDepot(service: Pick<TestService, 'api'>, depot: Depot, settings: Record<string, unknown>): Promise<string> {
  const account = { settings: depot.settings, credentials: depot.credentials };
  const created = await service.api('POST', '/integrations', { type: 'depot', name: 'Depot', ...account, autoSync: false, ...settings });
  if (created.status !== 201) throw new Error(JSON.stringify(created.body));
  return created.body.id;
}

const LIMIT_MS = 30_000;

/** Asks for a sync, once no other one runs, and waits until it has ended. @returns the run's entry in the log */
export async function syncOnce(service: Pick<TestService, 'api'>, id: string): Promise<Answer['body']> {
  const before = await until('a sync to be accepted', async () => {
    const newest = await newestRun(service, id);
    const asked = await service.api('POST', `/integrations/${id}/sync`);
    if (asked.status === 202) return { id: newest?.id ?? 0 };
    if (asked.body.code !== 'integration_busy') throw new Error(JSON.stringify(asked.body));
    return undefined;
  });
  return nextRun(service, id, before.id);
}

export async function newestRun(service: Pick<TestService, 'api'>, id: string): Promise<Answer['body']> {
  return (await service.api('GET', `/integrations/${id}/sync-log?kind=runs&limit=1`)).body.items[0];
}

/** Waits for the end of a run that began after entry `after`. */
export async function nextRun(service: Pick<TestService, 'api'>, id: string, after: number): Promise<Answer['body']> {
  return until('the sync to end', async () => {
    const run = await newestRun(service, id);
    return run !== undefined && run.id > after && run.status !== 'running' ? run : undefined;
  });
}

export async function until<T>(what: string, found: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + LIMIT_MS; Date.now() < end; ) {
    const value = await found();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  throw new Error(`waited in vain for ${what}`);
}

/** Waits until nothing is due to be written, and no sync runs. */
export async function settle(service: Pick<TestService, 'api'>, id: string): Promise<void> {
  await until('nothing to be due', async () => {
    const { items } = (await service.api('GET', `/integrations/${id}/assignments?limit=100`)).body;
    const run = await newestRun(service, id);
    return items.every(({ retryAt }: { retryAt: string | null }) => retryAt === null) && run?.status !== 'running' ? true : undefined;
  });
}
