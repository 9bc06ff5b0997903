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

/** Devices per batch. */
const BATCH = 200;
/** Releases written in parallel; each waits mostly for fsync. */
const PARALLEL = 4;

type Followed = WorkspaceDevice & { workspace: string };
type Failure = WorkspaceDevice & { error: unknown };

/**
 * Updates the workspaces of an organization to the bundles that its devices confirmed, in batches. No device waits for this. A lost workspace is created
 * again from the database.
 * @param ending the process is about to stop: no further workspace is begun, and the next resync continues
 * @throws DevicesFailed after all other workspaces
 */
export async function reconcileWorkspaces(controller: Controller, organizationId: string, ending: AbortSignal): Promise<void> {
  const failures = new Map<string, Failure>();
  while (!ending.aborted) {
    await waitForDevices(controller, ending);
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
    // After a crash before this line, pruning removes directories without a record, and writing the same release again changes nothing.
    await noteWorkspaces(controller.store.sql, organizationId, done);
    for (const failure of failed) failures.set(failure.deviceId, failure);
    await emitOutcomes(controller, done, failed);
    // A full disk fails all other workspaces, too; the next resync retries.
    if (failed.some(({ error }) => isNoSpace(error))) return;
  }
  if (failures.size > 0) throw new DevicesFailed(new Map([...failures].map(([id, { error }]) => [id, error])));
}

/** Up to this many devices at work leave the disk enough time. */
const FEW_AT_WORK = 20;
const RECHECK_MS = 250;
/** Under continuous load one batch is written after this time. */
const MAX_WAIT_MS = 20_000;

/** Waits while this process serves many devices: their changes matter more than workspaces, for which nothing waits. */
async function waitForDevices({ admission }: Controller, ending: AbortSignal): Promise<void> {
  const isBusy = () => admission.counts().atWork > FEW_AT_WORK && !ending.aborted;
  for (let waitedMs = 0; isBusy() && waitedMs < MAX_WAIT_MS; waitedMs += RECHECK_MS) await pause(RECHECK_MS);
}

/** Code of the last failure of each device's workspace, in this process. */
const lastFailures = new LRUCache<string, string>({ max: 10_000 });

/** Emits an event when the workspace of a device begins to fail, and when it recovers, but not at every try. */
async function emitOutcomes(controller: Controller, done: readonly Followed[], failed: readonly Failure[]): Promise<void> {
  const recovered = done.filter((device) => lastFailures.delete(nameOf(device)));
  const begun = failed.filter((failure) => lastFailures.get(nameOf(failure)) !== codeOf(failure.error));
  if (recovered.length + begun.length === 0) return;
  await transact(controller.store, async ({ emit }) => {
    for (const { organizationId, deviceId } of recovered)
      emit({ organizationId, type: 'workspace.recovered', subject: `device:${deviceId}`, data: {} });
    for (const { organizationId, deviceId, error } of begun) {
      const data = { code: codeOf(error), detail: messageOf(error) };
      controller.log.error({ deviceId, err: error }, `failed to update workspace; the next resync retries: ${data.detail}`);
      emit({ organizationId, type: 'workspace.failed', subject: `device:${deviceId}`, data });
    }
  });
  for (const failure of begun) lastFailures.set(nameOf(failure), codeOf(failure.error));
}

function codeOf(error: unknown): string {
  return error instanceof Problem ? error.code : 'workspace_failed';
}

const REASON = 'the device confirmed it';

/** @returns the workspace's name; a new name if there was none or it was lost */
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

/** Compares a workspace with its release. Reports a difference, and repairs it unless the source's policy is `report`. */
export async function checkWorkspace(controller: Controller, workspace: string): Promise<void> {
  // This process's own writes trigger the watch, too, and end here without a query.
  const found = await controller.workspaces.verify(workspace);
  if (found.state === 'clean') return;
  const device = await deviceOfWorkspace(controller.store.sql, workspace);
  if (device === undefined) return;
  const changed = found.changed.slice(0, 50);
  const { organizationId, deviceId } = device;
  const about = { organizationId, subject: `device:${deviceId}` };
  await report(controller, deviceId, { ...about, type: 'workspace.drifted', data: { state: found.state, changed } });
  if (device.policy === 'report') return;
  await writeRelease(controller, device, 'it was changed by hand');
  await report(controller, deviceId, { ...about, type: 'workspace.healed', data: { changed } });
}

async function report(controller: Controller, deviceId: string, event: NewEvent<'workspace.drifted' | 'workspace.healed'>): Promise<void> {
  const { organizationId, type, subject, data } = event;
  controller.log.warn({ deviceId, ...data }, type);
  await transact(controller.store, async ({ tx, emit }) => {
    emit(event);
    await audit(tx, { organizationId, actor: 'controller', action: type, subject, outcome: 'ok', detail: data });
  });
}
