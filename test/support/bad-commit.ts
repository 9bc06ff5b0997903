import type { ApiClient } from '../../src/cli/client.ts';
import type { Sql } from '../../src/db/connect.ts';
import type { DeviceKey } from '../../src/simulate/device.ts';
import { runSimulation } from '../../src/simulate/run.ts';
import type { TestGitHost } from './git-host.ts';
import { eventually } from './service.ts';

export type BadCommitScene = {
  server: string;
  api: ApiClient;
  sql: Sql;
  host: TestGitHost;
  /** A source of layout `repo`, with an empty repository of this name on the host. */
  source: { id: string; name: string };
  /** Registered devices that follow the source. */
  devices: readonly DeviceKey[];
};

export type BadCommitPlan = {
  /** Share of devices on which the commit fails, 0 to 1. */
  failShare: number;
  /** Percent of the devices in the first wave. */
  canaryPercent: number;
  /** Time limit for each of: all devices on the good commit, the end of the bad rollout, all devices rolled back. */
  timeoutMs: number;
};

export type Stopped = {
  devices: number;
  /** Devices in the first wave. */
  canaries: number;
  /** Ids of devices that got the bad commit. */
  touched: string[];
  /** Ids of devices that failed with it. */
  failed: number;
  state: string;
  end: { code: string; detail: string };
  /** Digests of the bundle on every device before, and of the bundle that every device reports now. */
  before: string;
  after: string[];
  /** Times from the bad commit to the end of its rollout, and to the rollback of the last device. */
  commitToStoppedMs: number;
  commitToBackMs: number;
};

const files = (broken: boolean) => ({ 'app.json': JSON.stringify({ broken }) });

/**
 * Rolls a good commit out to simulated devices, canaries first, and then one that fails on some of them. The rollout must end in the canary wave, and
 * every device must run the good commit again. The devices run in this process. @throws after a time limit
 */
export async function stopBadCommit(scene: BadCommitScene, plan: BadCommitPlan): Promise<Stopped> {
  const { api, source, devices } = scene;
  const stop = new AbortController();
  let ready = 0;
  const running = runSimulation({
    ...{ server: scene.server, devices, signal: stop.signal },
    ...{ failWhen: /"broken":true/, failWhenShare: plan.failShare },
    onState: ({ kind }) => {
      if (kind === 'ready') ready += 1;
    },
  });
  try {
    await eventually('all devices poll', async () => ready === devices.length, plan.timeoutMs);
    await api.send('PATCH', `/sources/${source.id}`, { rolloutPolicy: { waves: [{ name: 'canary', upToPercent: plan.canaryPercent }] } });
    return await play(scene, plan);
  } finally {
    stop.abort();
    await running;
  }
}

async function play(scene: BadCommitScene, { canaryPercent, timeoutMs }: BadCommitPlan): Promise<Stopped> {
  const { sql, source, devices } = scene;
  await push(scene, false);
  const good = await eventually('the good commit everywhere', () => newest(sql, source.id, 'completed', 0), timeoutMs);
  const [before] = await reported(sql, source.id);
  const startedMs = performance.now();
  await push(scene, true);
  const bad = await eventually('the end of the bad commit', () => ended(sql, source.id, good.position), timeoutMs);
  const commitToStoppedMs = performance.now() - startedMs;
  const isBack = async () => (await reported(sql, source.id)).join() === before && (await openAttempts(sql, source.id)) === 0;
  await eventually('all devices back', isBack, timeoutMs);
  const commitToBackMs = performance.now() - startedMs;
  const attempts = await sql<{ deviceId: string; failed: boolean }[]>`
    select device_id as "deviceId", bool_or(kind = 'change' and state in ('failed', 'rolled_back')) as failed
    from deployments where rollout_id = ${bad.id} group by device_id order by device_id`;
  return {
    devices: devices.length,
    canaries: Math.ceil((canaryPercent / 100) * devices.length),
    touched: attempts.map(({ deviceId }) => deviceId),
    failed: attempts.filter(({ failed }) => failed).length,
    ...{ state: bad.state, end: bad.end, before: before ?? '', after: await reported(sql, source.id) },
    ...{ commitToStoppedMs, commitToBackMs },
  };
}

async function push({ api, host, source }: BadCommitScene, broken: boolean): Promise<void> {
  await host.commit(source.name, files(broken));
  await api.send('POST', `/sources/${source.id}/sync`);
}

type Newest = { id: string; position: number; state: string; end: { code: string; detail: string } };

/** The source's newest rollout after that position, if it has that state. */
async function newest(sql: Sql, sourceId: string, state: string, after: number): Promise<Newest | undefined> {
  const [row] = await sql<Newest[]>`
    select id, position::int, state, jsonb_build_object('code', end_code, 'detail', end_detail) as end
    from rollouts where source_id = ${sourceId} and position > ${after} order by position desc limit 1`;
  return row?.state === state ? row : undefined;
}

/** Whether the rollout ended: it was aborted without a device to revert, or all are reverted. */
async function ended(sql: Sql, sourceId: string, after: number): Promise<Newest | undefined> {
  return (await newest(sql, sourceId, 'reverted', after)) ?? (await newest(sql, sourceId, 'aborted', after));
}

/** The different bundles that the source's devices report. */
async function reported(sql: Sql, sourceId: string): Promise<string[]> {
  const rows = await sql<{ bundle: string | null }[]>`select distinct reported_bundle as bundle from devices where source_id = ${sourceId}`;
  return rows.map(({ bundle }) => bundle ?? 'none');
}

async function openAttempts(sql: Sql, sourceId: string): Promise<number> {
  const [row] = await sql<[{ n: number }]>`
    select count(*)::int as n from devices where source_id = ${sourceId} and (deployment_id is not null or desired_bundle is distinct from reported_bundle)`;
  return row.n;
}
