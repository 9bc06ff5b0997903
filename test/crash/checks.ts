import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type DeploymentState, isOpen } from '../../src/deployment/deployment.ts';
import { type Device, readFiles } from './device.ts';
import { REPOSITORIES, released } from './fleet.ts';
import type { EventLog } from './history.ts';
import type { Page } from './service.ts';
import { within } from './wait.ts';
import type { World } from './world.ts';

/** Time limit from the last push until everything is idle, ms. */
const SETTLE_MS = 240_000;
/** Time in which the queue detects the really active jobs after a crash, ms. */
const REST_MS = 60_000;

/** The checked fields of a device's status. */
type Bundle = { bundle: string | null } | null;
export type DeviceStatus = {
  converged: boolean;
  device: { reported: Bundle; desired: Bundle };
  deployment: { state: DeploymentState } | null;
  source: { headCommit: string | null };
  why: unknown;
};

/** Counts checks and keeps violations. */
export type Verdicts = ReturnType<typeof createVerdicts>;

export function createVerdicts() {
  const violations: string[] = [];
  let count = 0;
  return {
    violations,
    count: () => count,
    must(holds: boolean, violation: () => string): void {
      count += 1;
      if (holds) return;
      const text = violation();
      if (!violations.includes(text)) violations.push(text);
    },
  };
}

/** Pushes one last good commit everywhere, and then checks every promise. Nothing may be killed meanwhile. @returns time until it is idle, ms */
export async function checkEverything(world: World, events: EventLog, verdicts: Verdicts): Promise<number> {
  const { pushes } = world;
  await pushes.delivered();
  await pushes.allGood();
  const started = performance.now();
  await pushes.delivered();
  for (const push of pushes.log) verdicts.must(push.taken, () => `the hook of ${push.repository} ${push.commit} was never taken`);
  await Promise.all([...world.devices.values()].map((device) => checkDevice(world, device, verdicts)));
  const settledMs = Math.round(performance.now() - started);
  for (const repository of REPOSITORIES) await checkSource(world, repository, verdicts);
  await checkJobs(world, verdicts);
  await checkWorkspaces(world, verdicts);
  await events.check(verdicts);
  return settledMs;
}

async function checkDevice(world: World, device: Device, { must }: Verdicts): Promise<void> {
  const config = world.pushes.config(device.id);
  if (config === undefined) return;
  const { service } = world;
  const status = () => service.api<DeviceStatus>('GET', `/devices/${device.id}/status`);
  const runsIt = await within(SETTLE_MS, async () => isDeepStrictEqual(await device.current(), released(config)));
  must(runsIt, () => `${device.id} does not run the last good commit: version ${config.version}`);
  const agrees = (seen: DeviceStatus) => seen.device.reported?.bundle === seen.device.desired?.bundle && seen.converged;
  const converged = await within(SETTLE_MS, async () => agrees(await status()));
  const seen = await status();
  must(converged, () => `${device.id} is not converged: ${JSON.stringify({ why: seen.why, device: seen.device })}`);
  // Only the newest: an ended rollout stays ended.
  const newest = () => service.api<Page<{ state: DeploymentState }>>('GET', `/devices/${device.id}/deployments?limit=200`);
  const open = async () => (await newest()).items.filter((one) => isOpen(one.state));
  const ended = await within(REST_MS, async () => (await open()).length === 0);
  const left = ended ? [] : await open();
  must(ended, () => `${device.id} has deployments that do not end: ${JSON.stringify(left)}`);
  const backups = (await service.list(`/devices/${device.id}/backups`)).length;
  must(backups <= 5, () => `${device.id} has ${backups} backups on the controller, must be at most 5`);
  const copies = await device.backups();
  must(copies <= 5, () => `${device.id} has ${copies} backups on its disk, must be at most 5`);
}

/** Accepted hooks (202) took effect: the head, which descends from every announced commit, is prepared with the right verdict. */
async function checkSource(world: World, repository: (typeof REPOSITORIES)[number], { must }: Verdicts): Promise<void> {
  const { service, pushes, judged } = world;
  const { id } = world.sources.get(repository)!;
  const head = pushes.head(repository)!.commit;
  const source = await service.api<{ headCommit: string | null }>('GET', `/sources/${id}`);
  must(source.headCommit === head, () => `${repository} is at ${source.headCommit}, must be at ${head}`);
  const fresh = (page: readonly Revision[]) => page.some(({ commit }) => !judged.has(commit));
  const revisions = await service.list<Revision>(`/sources/${id}/revisions`, fresh);
  must(revisions[0]?.commit === head, () => `the newest revision of ${repository} is ${revisions[0]?.commit}, must be ${head}`);
  for (const { commit, verdict } of revisions) {
    if (judged.has(commit)) continue;
    judged.add(commit);
    const isSound = pushes.made(commit)?.isSound;
    must((verdict === 'valid') === isSound, () => `${repository} ${commit} is "${verdict}", and every folder valid is ${isSound}`);
  }
}

type Revision = { commit: string; verdict: string };

/** No job stays active or waiting. */
async function checkJobs({ service }: World, { must }: Verdicts): Promise<void> {
  let left: readonly unknown[] = [];
  const idle = await within(REST_MS, async () => {
    left = await service.ask(
      (sql) => sql`select name, state, singleton_key, started_on from pgboss.job
      where name in ('source', 'rollout', 'deployment', 'workspace') and state in ('created', 'retry', 'active')`,
    );
    return left.length === 0;
  });
  must(idle, () => `jobs do not end: ${JSON.stringify(left)}`);
}

type Workspace = { id: string; workspace: string; follows: boolean };

/** The controller's own copies have the complete bundles that the devices confirmed. */
async function checkWorkspaces({ service, pushes }: World, { must }: Verdicts): Promise<void> {
  const read = () =>
    service.ask(
      (sql) => sql<Workspace[]>`select id, workspace, good_bundle = workspace_bundle as follows from devices
      where source_id is not null and good_bundle is not null`,
    );
  const follows = await within(REST_MS, async () => (await read()).every((row) => row.follows));
  must(follows, () => 'workspaces do not follow their devices');
  for (const { id, workspace } of await read()) {
    const config = pushes.config(id);
    const current = join(service.dataDir, 'workspaces', workspace, 'current');
    const files = await readFiles(current).catch(() => null);
    must(
      config !== undefined && isDeepStrictEqual(files, released(config)),
      () => `the workspace of ${id} does not hold the last good commit`,
    );
  }
  const names = await readdir(join(service.dataDir, 'workspaces'));
  must(names.length > 0, () => 'there are no workspaces');
}

/** At any instant of a cut, `current` is absent, or one whole release that was once valid. */
export async function checkCut({ pushes }: World, device: Device, { must }: Verdicts): Promise<void> {
  try {
    const files = await device.current();
    const config = files === null ? undefined : pushes.validOf(device.id, files);
    const known = files === null || (config !== undefined && isDeepStrictEqual(files, released(config)));
    must(known, () => `${device.id} was cut with a release that is no whole valid version: ${JSON.stringify(files).slice(0, 300)}`);
  } catch (error) {
    must(false, () => `${device.id} was cut with an unreadable release: ${String(error)}`);
  }
}
