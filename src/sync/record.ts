import { changeShadows, type ShadowChange } from '../device/store/shadows.ts';
import type { Store, Unit } from '../event/transact.ts';
import { newId } from '../ids.ts';
import { type Integration, NO_COUNTS, type RunCounts } from '../integration/integration.ts';
import type { Platform, Provider, RemoteDevice, Values } from '../integration/provider.ts';
import type { Providers } from '../integration/registry.ts';
import { noteSynced, type Synced } from '../integration/store/assignments.ts';
import { closeObsolete, type FoundConflict, noteConflicts } from '../integration/store/conflicts.ts';
import { type DeviceLine, logDevices, type Run } from '../integration/store/sync-log.ts';
import type { Log } from '../log.ts';
import { withoutSecrets } from '../revision/secret/value.ts';
import { rolloutsWithRoomFor } from '../rollout/store/targets.ts';
import type { Json } from '../wire/text/json.ts';
import { attributesOf, type DeviceMerge, type Rules } from './fields.ts';

/** The constant facts of a run. `mayMatch`: a device that is new to this service may be one that is here under another id. */
export type SyncContext = { integration: Integration; provider: Provider; rules: Rules; walk: number; runId: string; mayMatch: boolean };

export type SyncDeps = {
  store: Store;
  log: Log;
  providers: Providers;
  open(integration: Integration): Platform;
  /** Called at the end of each run, for metrics. */
  onRun?(type: string, outcome: 'succeeded' | 'failed', durationMs: number): void;
};

/** A run in this process. `run` holds what was stored of it last; `advance` stores more of it in a transaction of its caller. */
export type Running = {
  deps: SyncDeps;
  context: SyncContext;
  platform: Platform;
  run: Run;
  /** Fires when the process stops, or when another one has taken the run over. */
  signal: AbortSignal;
  advance(work: (unit: Unit) => Promise<Partial<Pick<Run, 'cursor' | 'walked'>> & { counts: Partial<Run['counts']> }>): Promise<void>;
};

/** A decided device, with what the platform showed. The caller holds the device's lock. */
export type Merged = {
  device: Synced;
  merge: DeviceMerge;
  shown: RemoteDevice;
  /** Hash of the listed device; null where it was read by itself, which may show less: the next walk compares it anew. */
  hash: string | null;
  /** Values that the platform took. */
  exported?: Values;
  /** Fields that `merge` leaves out: their conflicts stay open. */
  undecided?: ReadonlySet<string>;
};

export function metadataOf({ integration, provider }: SyncContext, shown: RemoteDevice, attributes: Values): Record<string, Json> {
  const { verdict } = shown;
  // Devices report what they like, passwords among it.
  const [state, details] = [shown.state, shown.details].map((value) => (value === undefined ? undefined : (withoutSecrets(value) as Json)));
  return {
    provider: provider.kind,
    integration: integration.slug,
    external_id: shown.externalId,
    sync_status: 'active',
    attributes,
    ...(state !== undefined && { state }),
    ...(verdict !== undefined && { verdict: { ...verdict, at: verdict.at?.toISOString() ?? null } }),
    ...(details !== undefined && { details }),
  };
}

/** Stores what was decided about devices: their values here, what is common now, what waits for the platform, conflicts, and the log. */
export async function recordMerges(unit: Unit, context: SyncContext, merged: readonly Merged[]): Promise<RunCounts> {
  if (merged.length === 0) return NO_COUNTS;
  const { integration } = context;
  const { tx } = unit;
  const changes = merged.filter(isWritten).map((one) => changeOf(context, one));
  await changeShadows(tx, integration.organizationId, changes);
  await noteSynced(
    tx,
    integration,
    merged.map(({ device, merge, shown, hash }) => ({
      deviceId: device.deviceId,
      base: merge.base,
      remoteHash: hash,
      identities: hash === null ? null : shown.identities,
      isDue: Object.keys(merge.remote).length > 0,
    })),
  );
  const found = merged.flatMap(({ device, merge }) =>
    merge.conflicts.map((conflict): FoundConflict => ({ ...conflict, id: newId(), deviceId: device.deviceId })),
  );
  await closeObsolete(
    tx,
    integration,
    merged.map(({ device }) => device.deviceId),
    [...found, ...merged.flatMap(({ device: { deviceId }, undecided = [] }) => [...undecided].map((field) => ({ deviceId, field })))],
  );
  const created = await noteConflicts(tx, integration, found);
  await logDevices(tx, integration, context.runId, merged.flatMap(linesOf));
  await restore(unit, context, merged);
  announce(unit, integration, merged, found, created);
  return countsOf(merged, found, created);
}

/** The device's row is written when something that it shows has changed. */
function isWritten({ device, merge, hash }: Merged): boolean {
  const isContentNew = hash !== null && hash !== device.remoteHash;
  return isContentNew || device.archivedAt !== null || device.metadata === null || Object.keys(merge.local).length > 0;
}

function changeOf(context: SyncContext, { device, merge, shown }: Merged): ShadowChange {
  const { name = device.name, type = device.type, ...attributes } = merge.local;
  return {
    id: device.deviceId,
    name: String(name),
    type: String(type),
    metadata: metadataOf(context, shown, { ...attributesOf(device.metadata), ...attributes }),
    connectivity: shown.connectivity,
    lastSeenAt: shown.lastSeenAt,
  };
}

function linesOf({ device, merge, exported }: Merged): DeviceLine[] {
  const { deviceId, externalId } = device;
  const line = { deviceId, externalId, status: 'succeeded' as const };
  const lines: DeviceLine[] = [];
  if (device.archivedAt !== null) lines.push({ ...line, operation: 'restore', direction: 'import', details: {} });
  const imported = Object.keys(merge.local).length > 0;
  if (imported) lines.push({ ...line, operation: 'update', direction: 'import', details: merge.changes });
  if (exported !== undefined) lines.push({ ...line, operation: 'export', direction: 'export', details: exported });
  return lines;
}

/** Devices that are back take part in rollouts again. */
async function restore({ tx, emit, enqueue }: Unit, { integration }: SyncContext, merged: readonly Merged[]): Promise<void> {
  const ids = merged.filter(({ device }) => device.archivedAt !== null).map(({ device }) => device.deviceId);
  if (ids.length === 0) return;
  const { organizationId, slug, name } = integration;
  emit({ organizationId, type: 'device.restored', subject: `integration:${slug}`, data: { name, deviceIds: ids } });
  for (const id of await rolloutsWithRoomFor(tx, organizationId, ids)) enqueue('rollout', id);
}

function announce(
  { emit }: Unit,
  { organizationId, slug }: Integration,
  merged: readonly Merged[],
  found: readonly FoundConflict[],
  created: ReadonlySet<string>,
): void {
  for (const { device, merge } of merged) {
    const fields = Object.keys(merge.local);
    if (fields.length > 0) emit({ organizationId, type: 'device.changed', subject: `device:${device.deviceId}`, data: { fields } });
  }
  for (const { id, deviceId, field, decided } of found) {
    const subject = `device:${deviceId}` as const;
    const data = { conflictId: id, integration: slug, field };
    if (decided !== null)
      emit({
        organizationId,
        type: 'conflict.resolved',
        subject,
        data: { ...data, resolution: decided.by, by: `strategy:${decided.strategy}` },
      });
    else if (created.has(id)) emit({ organizationId, type: 'conflict.opened', subject, data });
  }
}

function countsOf(merged: readonly Merged[], found: readonly FoundConflict[], created: ReadonlySet<string>): RunCounts {
  const count = (matches: (one: Merged) => boolean) => merged.filter(matches).length;
  return {
    ...NO_COUNTS,
    updated: count(({ merge }) => Object.keys(merge.local).length > 0),
    exported: count(({ exported }) => exported !== undefined),
    restored: count(({ device }) => device.archivedAt !== null),
    conflicts: found.filter(({ id, decided }) => decided === null && created.has(id)).length,
    resolved: found.filter(({ decided }) => decided !== null).length,
  };
}

export function addCounts(one: RunCounts, other: Partial<RunCounts>): RunCounts {
  const sum = { ...one };
  for (const name of Object.keys(NO_COUNTS) as (keyof RunCounts)[]) sum[name] += other[name] ?? 0;
  return sum;
}
