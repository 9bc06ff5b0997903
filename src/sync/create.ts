import type { Problem } from '../errors.ts';
import { transact } from '../event/transact.ts';
import { integrationProblem } from '../integration/problems.ts';
import type { RemoteDevice, Values } from '../integration/provider.ts';
import { beginCreations, dueCreations, lockSynced, markSeen, relink, type Synced } from '../integration/store/assignments.ts';
import { logDevices } from '../integration/store/sync-log.ts';
import { inParallel, isAboutPlatform, recordFailures } from './export.ts';
import { localValue, mergeDevice, type Rules } from './fields.ts';
import { addCounts, type Running, recordMerges } from './record.ts';

const BATCH = 20;
/** A creation without an answer is tried again after this time, by a run whose walk would have shown the device. */
const AGAIN_SECONDS = 60;

type Created = { deviceId: string; shown: RemoteDevice; values: Values };

/**
 * Creates local devices at the platform that are assigned to it. A marker is stored before the platform is asked: after a lost answer, or a crash, the
 * next walk recognises the device by it, and only a device that this walk does not show is created again.
 */
export async function createDue(running: Running): Promise<void> {
  const { context, platform, signal, run } = running;
  // Without a walk nobody knows whether an earlier creation succeeded.
  if (run.operation !== 'walk') return;
  await inParallel(
    dueDevices(running),
    (device) => create({ context, platform, signal }, device),
    (done) => record(running, done),
  );
}

/** Devices whose marker is stored. */
async function* dueDevices({ deps, context, signal, run }: Running): AsyncGenerator<Synced> {
  const { integration } = context;
  let after = '';
  for (;;) {
    signal.throwIfAborted();
    const devices = await dueCreations(deps.store.sql, integration, run.startedAt, after, BATCH);
    after = devices.at(-1)?.deviceId ?? '';
    if (devices.length === 0) return;
    const created = devices.map(({ deviceId }) => ({ deviceId, marker: { kind: 'hardware' as const, value: markerOf(deviceId) } }));
    await transact(deps.store, ({ tx }) => beginCreations(tx, integration, created, AGAIN_SECONDS));
    yield* devices;
  }
}

export function markerOf(deviceId: string): string {
  return `bellwether-${deviceId}`;
}

async function create(
  { context, platform, signal }: Pick<Running, 'context' | 'platform' | 'signal'>,
  device: Synced,
): Promise<Created | { device: Synced; error: Problem }> {
  try {
    if (platform.create === undefined)
      throw integrationProblem(
        'integration_unsupported',
        `Cannot create device "${device.deviceId}": the platform creates none by its API`,
      );
    const values = valuesFor(context.rules, device);
    const { name: _, ...others } = values;
    const shown = await platform.create({ name: device.name, values: others, marker: markerOf(device.deviceId) }, signal);
    return { deviceId: device.deviceId, shown, values };
  } catch (error) {
    signal.throwIfAborted();
    if (isAboutPlatform(error)) throw error;
    return { device, error: error as Problem };
  }
}

/** Values that are carried to the platform. Without an edit, the type is a default of ours. */
function valuesFor(rules: Rules, device: Synced): Values {
  const values: Values = { name: device.name };
  for (const [field, { direction }] of rules) {
    const value = localValue(device, field);
    if (direction === 'import' || value === undefined) continue;
    if (field === 'type' && device.fieldTimes.type === undefined) continue;
    values[field] = value;
  }
  return values;
}

async function record(running: Running, outcomes: readonly (Created | { device: Synced; error: Problem })[]): Promise<void> {
  const { context } = running;
  const { integration, rules, walk, runId } = context;
  const created = new Map(outcomes.flatMap((one) => ('shown' in one ? [[one.deviceId, one] as const] : [])));
  const failed = outcomes.filter((one) => 'error' in one);
  await running.advance(async (unit) => {
    const links = [...created.values()].map(({ deviceId, shown }) => ({ deviceId, externalId: shown.externalId }));
    await relink(unit.tx, integration, links);
    await markSeen(
      unit.tx,
      integration,
      walk,
      links.map(({ externalId }) => externalId),
    );
    const locked = await lockSynced(unit.tx, integration, [...created.keys()]);
    const merged = locked.flatMap((device) => {
      const one = created.get(device.deviceId);
      if (one === undefined) return [];
      const known = { ...device, base: one.values };
      const shown = { ...one.shown, values: { ...one.values, ...one.shown.values } };
      return [{ device: known, merge: mergeDevice(rules, known, shown), shown, hash: null, exported: one.values }];
    });
    const counts = await recordMerges(unit, context, merged);
    await recordFailures(unit.tx, running, failed);
    await logDevices(
      unit.tx,
      integration,
      runId,
      links.map((link) => ({ ...link, operation: 'create', direction: 'export', status: 'succeeded', details: {} })),
    );
    return { counts: addCounts(counts, { failed: failed.length }) };
  });
}
