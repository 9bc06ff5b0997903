import { changeFields, type FieldChange } from '../device/store/shadows.ts';
import { conflict as conflictProblem, invalid, notFound } from '../errors.ts';
import type { Unit } from '../event/transact.ts';
import type { Direction, Integration } from '../integration/integration.ts';
import { fieldsOf } from '../integration/provider.ts';
import type { Providers } from '../integration/registry.ts';
import { lockSynced, noteSynced, type Synced } from '../integration/store/assignments.ts';
import { type Conflict, conflictsById, lockConflicts, noteResolved, versionOf } from '../integration/store/conflicts.ts';
import { integrationById } from '../integration/store/services.ts';
import type { Json } from '../wire/text/json.ts';
import { localValue, misfitOf, rulesOf } from './fields.ts';

/** A person's decision about a conflict: which value both sides get. */
export type Choice = { choice: 'local' } | { choice: 'remote' } | { choice: 'value'; value: Json };
export type Resolved = { resolved: string[]; skipped: string[] };
/** `versions`: those that the person saw, by id; without one, any values count. */
type Asked = { organizationId: string; ids: readonly string[]; by: string; versions?: Readonly<Record<string, string>> };

/**
 * Resolves open conflicts. The value is written here at once, and to the platform by the next sync, which begins at once. The platform's value of the
 * conflict becomes the base, so that a change that was made there since is a new conflict and is not lost.
 * @param by `token:<name>`
 * @returns `skipped`: they are not open any more, or a sync has found other values since
 * @throws Problem `not_found`, `invalid_request` for a value that the field cannot have, or that its direction does not carry
 */
export async function resolveConflicts(
  unit: Unit,
  providers: Providers,
  { organizationId, ids, by, versions = {} }: Asked,
  decision: Choice,
): Promise<Resolved> {
  const found = await conflictsById(unit.tx, organizationId, ids);
  const missing = ids.find((id) => !found.some((conflict) => conflict.id === id));
  if (missing !== undefined) throw notFound('conflict', missing);
  const resolved: string[] = [];
  for (const serviceId of new Set(found.map((conflict) => conflict.serviceId))) {
    const integration = await integrationById(unit.tx, serviceId);
    if (integration === undefined) continue;
    const ofIt = found.filter((conflict) => conflict.serviceId === serviceId);
    resolved.push(...(await resolveOf(unit, { integration, providers, by, versions }, ofIt, decision)));
  }
  return { resolved, skipped: ids.filter((id) => !resolved.includes(id)) };
}

/** `resolveConflicts` for one. @throws also Problem `conflict_not_open`, `conflict_changed` */
export async function resolveConflict(
  unit: Unit,
  providers: Providers,
  { organizationId, id, by, version }: { organizationId: string; id: string; by: string; version: string | undefined },
  decision: Choice,
): Promise<void> {
  const versions = version === undefined ? {} : { [id]: version };
  const { resolved } = await resolveConflicts(unit, providers, { organizationId, ids: [id], by, versions }, decision);
  if (resolved.length > 0) return;
  const [now] = await conflictsById(unit.tx, organizationId, [id]);
  const isOpen = now?.state === 'open';
  throw isOpen
    ? conflictProblem('conflict_changed', `Cannot resolve conflict "${id}": a sync has found other values; read them and decide again`)
    : conflictProblem('conflict_not_open', `Cannot resolve conflict "${id}": it is resolved already, or the sides agree by now`);
}

type Deciding = { integration: Integration; providers: Providers; by: string; versions: Readonly<Record<string, string>> };

async function resolveOf(unit: Unit, { integration, providers, by, versions }: Deciding, found: readonly Conflict[], decision: Choice) {
  const { tx, emit, enqueue } = unit;
  const { organizationId, id, slug } = integration;
  const rules = rulesOf({ ...integration, fields: null }, fieldsOf(providers.of(integration.type), integration.settings));
  // The devices first, as a sync locks them.
  const devices = await lockSynced(tx, integration, [...new Set(found.map(({ deviceId }) => deviceId))]);
  const locked = await lockConflicts(
    tx,
    organizationId,
    found.map((conflict) => conflict.id),
  );
  const open = locked.filter((one) => one.state === 'open' && (versions[one.id] ?? versionOf(one)) === versionOf(one));
  const decided = open.map((conflict) => ({ conflict, value: chosenValue(decision, conflict) }));
  for (const { conflict, value } of decided) {
    checkValue(conflict, value, rules.get(conflict.field)?.kind ?? 'scalar');
    checkDirection(conflict, value, rules.get(conflict.field)?.direction);
  }
  const changes = devices.map((device) => changeOf(device, decided));
  await changeFields(
    tx,
    organizationId,
    changes.flatMap(({ change }) => (change === undefined ? [] : [change])),
  );
  await noteSynced(
    tx,
    integration,
    changes.map(({ device, base, isDue }) => ({ deviceId: device.deviceId, base, remoteHash: null, identities: null, isDue })),
  );
  const rows = decided.map(({ conflict, value }) => ({ id: conflict.id, value }));
  await noteResolved(tx, organizationId, rows, { resolution: decision.choice, resolvedBy: by });
  for (const { conflict } of decided) {
    const data = { conflictId: conflict.id, integration: slug, field: conflict.field, resolution: decision.choice, by };
    emit({ organizationId, type: 'conflict.resolved', subject: `device:${conflict.deviceId}`, data });
  }
  if (decided.length > 0) enqueue('integration', id);
  return open.map((conflict) => conflict.id);
}

function chosenValue(decision: Choice, { local, remote }: Conflict): Json {
  if (decision.choice === 'value') return decision.value;
  return decision.choice === 'local' ? local : remote;
}

function checkValue({ field }: Conflict, value: Json, kind: 'scalar' | 'set' | 'map'): void {
  const isText = typeof value === 'string' && value.trim() !== '' && value.length <= (field === 'name' ? 200 : 100);
  const detail = (field === 'name' || field === 'type') && !isText ? 'must be a text that is not empty' : misfitOf(kind, value);
  if (detail !== undefined)
    throw invalid(`Cannot resolve the conflict: /value for field "${field}" ${detail}`, [{ pointer: '/value', detail }]);
}

/** The next sync would take such a decision back. */
function checkDirection({ field, local, remote }: Conflict, value: Json, direction: Direction | undefined): void {
  const [from, side] = direction === 'import' ? [remote, 'remote'] : [local, 'local'];
  if (direction === undefined || direction === 'both' || JSON.stringify(value) === JSON.stringify(from)) return;
  throw invalid(
    `Cannot resolve the conflict: field "${field}" is only ${direction}ed now, so that only the ${side} value can stay; choose it, or change the direction first`,
  );
}

type Decided = readonly { conflict: Conflict; value: Json }[];

function changeOf(
  device: Synced,
  decided: Decided,
): { device: Synced; base: Record<string, Json>; isDue: boolean; change: FieldChange | undefined } {
  const base = { ...device.base };
  const change: FieldChange = { id: device.deviceId, attributes: {} };
  let [isDue, isChanged] = [device.retryAt !== null, false];
  for (const { conflict, value } of decided) {
    if (conflict.deviceId !== device.deviceId) continue;
    const { field, remote } = conflict;
    base[field] = remote;
    isDue ||= JSON.stringify(value) !== JSON.stringify(remote);
    if (JSON.stringify(value) === JSON.stringify(localValue(device, field))) continue;
    isChanged = true;
    if (field === 'name' || field === 'type') change[field] = String(value);
    else change.attributes[field] = value;
  }
  return { device, base, isDue, change: isChanged ? change : undefined };
}
