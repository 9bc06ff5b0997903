import { LRUCache } from 'lru-cache';
import { pause } from '../../src/async/pause.ts';
import { audit } from '../../src/audit/store.ts';
import { loadBundle } from '../../src/bundle/store.ts';
import { nameOf } from '../../src/device/device.ts';
import { deviceOfWorkspace, noteWorkspaces, type WorkspaceDevice, workspacesBehind } from '../../src/device/store/workspaces.ts';
import { isProblem, messageOf, Problem } from '../../src/errors.ts';
import type { NewEvent } from '../../src/event/event.ts';
import { transact } from '../../src/event/transact.ts';
import { isNoSpace } from '../../src/wire/no-space.ts';
import type { Controller } from '../context.ts';
import { DevicesFailed } from '../devices-failed.ts';

/** Devices per turn. */
const BATCH = 200;
/** Releases written at once; each waits mostly for fsync. */
const PARALLEL = 4;

type Followed = WorkspaceDevice & { workspace: string };
type Failure = WorkspaceDevice & { error: unknown };

/**
 * Lets the workspaces of an organization follow what its devices confirmed, in batches, off the path of any device. A workspace that was lost is
 * made again: everything in it comes from the database.
 * @param ending the process is about to stop: no further one is begun, the next resync goes on
 * @throws DevicesFailed once all others follow
 */
export async function reconcileWorkspaces(controller: Controller, organizationId: string, ending: AbortSignal): Promise<void> {
  const failures = new Map<string, Failure>();
  while (!ending.aborted) {
    await afterDevices(controller, ending);
    const behind = (await workspacesBehind(controller.store.sql, organizationId, BATCH)).filter((device) => !failures.has(device.deviceId));
    if (behind.length === 0) break;
    const queue = [...behind];
    const done: Followed[] = [];
    const failed: Failure[] = [];
    const worker = async () => {
      for (let next = queue.pop(); next !== undefined && !ending.aborted; next = queue.pop()) {
        const device = next;
        await follow(controller, device).then(
          (workspace) => done.push({ ...device, workspace }),
          (error: unknown) => failed.push({ ...device, error }),
        );
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    // A crash before this leaves directories that nothing names, which pruning removes, or writes the same release again, which changes nothing.
    await noteWorkspaces(controller.store.sql, organizationId, done);
    for (const failure of failed) failures.set(failure.deviceId, failure);
    await tellOutcomes(controller, done, failed);
    // The others would fare no better; the next resync tries again.
    if (failed.some(({ error }) => isNoSpace(error))) return;
  }
  if (failures.size > 0) throw new DevicesFailed(new Map([...failures].map(([id, { error }]) => [id, error])));
}

/** So few devices at work leave time for the disk. */
const FEW_AT_WORK = 20;
const LOOK_AGAIN_MS = 250;
/** Behind an endless stream of devices workspaces follow all the same, a batch at a time. */
const MAX_WAIT_MS = 20_000;

/** Lets the devices of this process go first that are being brought to a change now: nobody waits for a workspace. */
async function afterDevices({ admission }: Controller, ending: AbortSignal): Promise<void> {
  const isInTheWay = () => admission.counts().atWork > FEW_AT_WORK && !ending.aborted;
  for (let waitedMs = 0; isInTheWay() && waitedMs < MAX_WAIT_MS; waitedMs += LOOK_AGAIN_MS) await pause(LOOK_AGAIN_MS);
}

/** Why the workspace of a device could not follow the last time, here. */
const troubles = new LRUCache<string, string>({ max: 10_000 });

/** A device is told of when its workspace begins to fail, and when it follows again: not at every try. */
async function tellOutcomes(controller: Controller, done: readonly Followed[], failed: readonly Failure[]): Promise<void> {
  const recovered = done.filter((device) => troubles.delete(nameOf(device)));
  const begun = failed.filter((failure) => troubles.get(nameOf(failure)) !== codeOf(failure.error));
  if (recovered.length + begun.length === 0) return;
  await transact(controller.store, async ({ emit }) => {
    for (const { organizationId, deviceId } of recovered)
      emit({ organizationId, type: 'workspace.recovered', subject: `device:${deviceId}`, data: {} });
    for (const { organizationId, deviceId, error } of begun) {
      const data = { code: codeOf(error), detail: messageOf(error) };
      controller.log.error({ deviceId, err: error }, `workspace cannot follow: ${data.detail}`);
      emit({ organizationId, type: 'workspace.failed', subject: `device:${deviceId}`, data });
    }
  });
  for (const failure of begun) troubles.set(nameOf(failure), codeOf(failure.error));
}

function codeOf(error: unknown): string {
  return error instanceof Problem ? error.code : 'workspace_failed';
}

const REASON = 'the device confirmed it';

/** @returns the workspace's name; a new one where there was none, or was lost */
async function follow(controller: Controller, device: WorkspaceDevice): Promise<string> {
  const { organizationId, deviceId, workspace } = device;
  if (workspace !== null) {
    try {
      await writeRelease(controller, { ...device, workspace }, REASON);
      return workspace;
    } catch (error) {
      if (!isProblem(error, 'not_found')) throw error;
    }
  }
  const created = await controller.workspaces.create({ organizationId, deviceId });
  await writeRelease(controller, { ...device, workspace: created }, REASON);
  return created;
}

async function writeRelease(controller: Controller, device: WorkspaceDevice & { workspace: string }, reason: string): Promise<void> {
  const bundle = await loadBundle(controller.store.sql, device.organizationId, device.bundle);
  await controller.workspaces.applyRelease(device.workspace, bundle, { reason });
}

/** Compares one workspace with what it must hold; a difference is reported, and healed where the source's policy says so. */
export async function checkWorkspace(controller: Controller, workspace: string): Promise<void> {
  // Our own writes wake the watcher too, and end here, before any question to the database.
  const found = await controller.workspaces.verify(workspace);
  if (found.state === 'clean') return;
  const device = await deviceOfWorkspace(controller.store.sql, workspace);
  if (device === undefined) return;
  const changed = found.changed.slice(0, 50);
  const { organizationId, deviceId } = device;
  const about = { organizationId, subject: `device:${deviceId}` };
  await tell(controller, deviceId, { ...about, type: 'workspace.drifted', data: { state: found.state, changed } });
  if (device.policy === 'report') return;
  await writeRelease(controller, device, 'somebody changed it by hand');
  await tell(controller, deviceId, { ...about, type: 'workspace.healed', data: { changed } });
}

async function tell(controller: Controller, deviceId: string, event: NewEvent<'workspace.drifted' | 'workspace.healed'>): Promise<void> {
  const { organizationId, type, subject, data } = event;
  controller.log.warn({ deviceId, ...data }, type);
  await transact(controller.store, async ({ tx, emit }) => {
    emit(event);
    await audit(tx, { organizationId, actor: 'controller', action: type, subject, outcome: 'ok', detail: data });
  });
}
