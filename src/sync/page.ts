import { hash } from 'node:crypto';
import { insertShadows, type NewShadow, noteLiveness } from '../device/store/shadows.ts';
import type { Unit } from '../event/transact.ts';
import { NO_COUNTS, type RunCounts } from '../integration/integration.ts';
import { assignedIds, type Compared, insertAssignments, lockSynced, markSeen } from '../integration/store/assignments.ts';
import { type DeviceLine, logDevices } from '../integration/store/sync-log.ts';
import { RESERVED_IDS } from '../inventory/register.ts';
import { DEVICE_ID_RULE } from '../wire/names.ts';
import type { Json } from '../wire/text/json.ts';
import { mergeDevice, shownValue } from './fields.ts';
import { linkKnown, type Vanished } from './link.ts';
import type { Shown } from './read/shown.ts';
import { addCounts, metadataOf, recordMerges, type SyncContext } from './record.ts';

/** `known`: those that have an assignment, by their ids at the platform. `isGone`: found out before for those that may have got a new id. */
export type ShownPage = { shown: readonly Shown[]; known: ReadonlyMap<string, Compared>; isGone: Vanished };

/**
 * Takes the devices of a page, in a number of statements that does not depend on their number: unchanged devices are marked as seen, changed ones
 * are merged, new ones are created.
 */
export async function takePage(unit: Unit, context: SyncContext, { shown, known, isGone }: ShownPage): Promise<RunCounts> {
  const { tx } = unit;
  const { integration, rules } = context;
  const others = await stillUnknown(
    unit,
    context,
    shown.filter(({ device }) => !known.has(device.externalId)),
  );
  const linked = await linkKnown(unit, context, others, isGone);
  const changed = shown.filter(({ device }) => known.get(device.externalId)?.isChanged);
  const fresh = others.filter(({ device }) => !linked.has(device.externalId));
  const byDevice = new Map<string, Shown>();
  for (const one of [...changed, ...others]) {
    const deviceId = known.get(one.device.externalId)?.deviceId ?? linked.get(one.device.externalId);
    if (deviceId !== undefined) byDevice.set(deviceId, one);
  }
  const locked = byDevice.size === 0 ? [] : await lockSynced(tx, integration, [...byDevice.keys()]);
  const merged = locked.flatMap((device) => {
    const one = byDevice.get(device.deviceId);
    return one === undefined ? [] : [{ device, merge: mergeDevice(rules, device, one.device), shown: one.device, hash: one.hash }];
  });
  const counts = await recordMerges(unit, context, merged);
  await noteLiveness(
    tx,
    integration.organizationId,
    shown.flatMap(({ device: { externalId, connectivity, lastSeenAt } }) => {
      const device = known.get(externalId);
      return device?.isLivenessNew ? [{ id: device.deviceId, connectivity, lastSeenAt }] : [];
    }),
  );
  await markSeen(
    tx,
    integration,
    context.walk,
    shown.flatMap(({ device: { externalId } }) => (known.has(externalId) || linked.has(externalId) ? [externalId] : [])),
  );
  const added = await addShadows(unit, context, fresh);
  const touched = counts.updated + counts.restored;
  return addCounts(addCounts(counts, added), {
    seen: shown.length,
    unchanged: Math.max(0, shown.length - fresh.length - touched),
  });
}

/** A person may have assigned devices since they were looked up: those wait for the next walk. */
async function stillUnknown({ tx }: Unit, { integration }: SyncContext, others: readonly Shown[]): Promise<Shown[]> {
  if (others.length === 0) return [];
  const assigned = await assignedIds(
    tx,
    integration,
    others.map(({ device }) => device.externalId),
  );
  return others.filter(({ device }) => !assigned.has(device.externalId));
}

/** Creates shadow devices for devices that nobody here knows. */
async function addShadows(unit: Unit, context: SyncContext, fresh: readonly Shown[]): Promise<RunCounts> {
  if (fresh.length === 0) return NO_COUNTS;
  const { tx, emit } = unit;
  const { integration, walk, runId } = context;
  const { organizationId, slug, name } = integration;
  const ids = await insertShadows(tx, organizationId, shadowsOf(context, fresh));
  const idOf = ({ device }: Shown) => ids.get(device.externalId);
  const created = fresh.filter((one) => idOf(one) !== undefined);
  const refused = fresh.filter((one) => idOf(one) === undefined);
  const deviceOf = (one: Shown) => idOf(one) ?? '';
  await insertAssignments(
    tx,
    integration,
    created.map((one) => {
      const { externalId, identities } = one.device;
      return { deviceId: deviceOf(one), externalId, identities, walk, base: valuesOf(context, one), remoteHash: one.hash };
    }),
    true,
  );
  const lines = [
    ...created.map((one): DeviceLine => {
      const line = { deviceId: deviceOf(one), externalId: one.device.externalId, operation: 'create', direction: 'import' } as const;
      return { ...line, status: 'succeeded', details: valuesOf(context, one) };
    }),
    ...refused.map(refusalOf),
  ];
  await logDevices(tx, integration, runId, lines);
  const deviceIds = created.map(deviceOf);
  if (deviceIds.length > 0) emit({ organizationId, type: 'device.imported', subject: `integration:${slug}`, data: { name, deviceIds } });
  return { ...NO_COUNTS, created: created.length, failed: refused.length };
}

function refusalOf({ device: { externalId } }: Shown): DeviceLine {
  const error = `Cannot import device "${externalId}": devices with both of its possible ids exist; delete or rename one of them`;
  const line = { deviceId: null, externalId, operation: 'create', direction: 'import' } as const;
  return { ...line, status: 'failed', details: {}, code: 'device_exists', error };
}

/** Values of a new device: its base, and, without the name and type, its attributes. */
function valuesOf({ rules }: SyncContext, { device }: Shown): Record<string, Json> {
  const values: Record<string, Json> = {};
  for (const field of rules.keys()) {
    const value = shownValue(device, field);
    if (value !== undefined) values[field] = value;
  }
  return values;
}

/** The id is made of the name, where that is an id and the first of the page, else of the kind and the id at the platform. */
function shadowsOf(context: SyncContext, fresh: readonly Shown[]): NewShadow[] {
  const { provider } = context;
  const taken = new Set<string>();
  return fresh.map((one) => {
    const { device } = one;
    const { externalId, connectivity, lastSeenAt } = device;
    const { name: _, type: __, ...attributes } = valuesOf(context, one);
    const name = shownValue(device, 'name') ?? externalId.slice(0, 200);
    const type = shownValue(device, 'type') ?? 'device';
    const otherwise = idFrom(`${provider.kind}-${externalId}`);
    const wanted = String(name).toLowerCase();
    const id = isFree(wanted, taken) ? wanted : otherwise;
    taken.add(id);
    return {
      ...{ id, otherwise, name: String(name), type: String(type), externalId, connectivity, lastSeenAt },
      adapter: provider.abilities.push === false ? 'agent' : provider.kind,
      metadata: metadataOf(context, device, attributes),
    };
  });
}

function isFree(id: string, taken: ReadonlySet<string>): boolean {
  return DEVICE_ID_RULE.pattern.test(id) && !RESERVED_IDS.has(id) && !taken.has(id);
}

function idFrom(text: string): string {
  if (DEVICE_ID_RULE.pattern.test(text)) return text;
  // Two ids must not become one: long ones, foreign ones, or those that differ by capital letters.
  return `${DEVICE_ID_RULE.suggest?.(text)?.slice(0, 50) ?? 'device'}-${hash('sha256', text).slice(0, 12)}`;
}
