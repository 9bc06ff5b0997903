import { invalid } from '../errors.ts';
import type { Integration } from '../integration/integration.ts';
import type { Provider, RemoteDevice, Values } from '../integration/provider.ts';
import type { Synced } from '../integration/store/assignments.ts';
import type { FoundConflict } from '../integration/store/conflicts.ts';
import type { Json } from '../wire/text/json.ts';
import { isSame, type MergeInput, type MergeRule, mergeField } from './merge.ts';

/** The fields that an integration syncs, each with its rule. */
export type Rules = ReadonlyMap<string, MergeRule>;

/** A field that the platform does not let be written is only imported. */
export function rulesOf(
  integration: Pick<Integration, 'direction' | 'strategy' | 'fields' | 'fieldRules'>,
  fields: Provider['fields'],
): Rules {
  const rules = new Map<string, MergeRule>();
  for (const [name, { kind, writable }] of Object.entries(fields)) {
    if (integration.fields !== null && !integration.fields.includes(name)) continue;
    const own = Object.hasOwn(integration.fieldRules, name) ? integration.fieldRules[name] : undefined;
    const direction = writable ? (own?.direction ?? integration.direction) : 'import';
    rules.set(name, { kind, direction, strategy: own?.strategy ?? integration.strategy });
  }
  return rules;
}

/** The rules but for these fields, about which nothing is decided. */
export function withoutFields(rules: Rules, fields: ReadonlySet<string>): Rules {
  return fields.size === 0 ? rules : new Map([...rules].filter(([field]) => !fields.has(field)));
}

/** The device's own columns; all other fields are attributes. */
const COLUMNS = { name: 200, type: 100 } as const;

export type LocalDevice = Pick<Synced, 'name' | 'type' | 'metadata'>;

export function localValue({ name, type, metadata }: LocalDevice, field: string): Json | undefined {
  if (field === 'name') return name;
  if (field === 'type') return type;
  const attributes = attributesOf(metadata);
  return Object.hasOwn(attributes, field) ? attributes[field] : undefined;
}

export function attributesOf(metadata: Record<string, Json> | null): Values {
  const attributes = metadata?.attributes;
  return typeof attributes === 'object' && attributes !== null && !Array.isArray(attributes) ? attributes : {};
}

/** A name or type that the device cannot have counts as not shown. */
export function shownValue({ values }: Pick<RemoteDevice, 'values'>, field: string): Json | undefined {
  const value = Object.hasOwn(values, field) ? values[field] : undefined;
  if (field !== 'name' && field !== 'type') return value;
  return typeof value === 'string' && value.trim() !== '' && value.length <= COLUMNS[field] ? value : undefined;
}

export type DeviceMerge = {
  /** Fields to be written here, and at the platform. */
  local: Values;
  remote: Values;
  /** The last common values after `local` was written. A value for the platform becomes common when the platform shows it. */
  base: Values;
  conflicts: Omit<FoundConflict, 'id' | 'deviceId'>[];
  /** The changes of a device, for the log. */
  changes: Values;
};

/** Decides all fields of a device. Pure. */
export function mergeDevice(rules: Rules, device: Synced, shown: Pick<RemoteDevice, 'values' | 'updatedAt'>): DeviceMerge {
  const merge: DeviceMerge = { local: {}, remote: {}, base: { ...device.base }, conflicts: [], changes: {} };
  for (const [field, rule] of rules) {
    const changedAt = device.fieldTimes[field];
    note(merge, field, {
      rule,
      base: device.base[field],
      local: localValue(device, field),
      remote: shownValue(shown, field),
      localChangedAt: changedAt === undefined ? null : new Date(changedAt),
      remoteChangedAt: shown.updatedAt,
    });
  }
  return merge;
}

function note(merge: DeviceMerge, field: string, input: MergeInput): void {
  const { rule, base, local, remote, localChangedAt, remoteChangedAt } = input;
  const decision = mergeField(input);
  const change = (side: string, from: Json | undefined, to: Json, more: Values = {}) => {
    merge.changes[field] = { side, from: from ?? null, to, ...more };
  };
  const times = { localChangedAt, remoteChangedAt };
  switch (decision.is) {
    case 'agreed':
      if (decision.value !== undefined) merge.base[field] = decision.value;
      return;
    case 'carried': {
      const { to, value, overwritten } = decision;
      merge[to][field] = value;
      if (to === 'local') merge.base[field] = value;
      change(to, to === 'local' ? local : remote, value, overwritten === undefined ? {} : { overwritten });
      return;
    }
    case 'resolved': {
      const { by, value } = decision;
      const isForLocal = !isSame(rule.kind, local, value);
      const isForRemote = !isSame(rule.kind, remote, value);
      if (isForLocal) merge.local[field] = value;
      if (isForRemote) merge.remote[field] = value;
      // The platform's value becomes the base until it is written: then only this side has changed.
      if (remote !== undefined) merge.base[field] = isForRemote ? remote : value;
      const side = isForLocal && isForRemote ? 'both' : isForLocal ? 'local' : 'remote';
      change(side, base, value, { resolved: by, local: local ?? null, remote: remote ?? null });
      const decided = { by, value, strategy: rule.strategy };
      merge.conflicts.push({ field, base, local: local ?? null, remote: remote ?? null, ...times, decided });
      return;
    }
    case 'conflict':
      merge.conflicts.push({ field, base, local: local ?? null, remote: remote ?? null, ...times, decided: null });
  }
}

/** @throws Problem `invalid_request` for attributes that a sync would not carry to the platform */
export function checkAttributes(rules: Rules, attributes: Values, integration: string): void {
  const writable = [...rules].filter(([name, { direction }]) => direction !== 'import' && !Object.hasOwn(COLUMNS, name));
  const names = writable.map(([name]) => `"${name}"`).join(', ');
  const errors = Object.entries(attributes).flatMap(([name, value]) => {
    const pointer = `/attributes/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    const rule = writable.find(([known]) => known === name)?.[1];
    if (rule === undefined) return [{ pointer, detail: names === '' ? 'cannot be changed here' : `must be one of ${names}` }];
    const detail = misfitOf(rule.kind, value);
    return detail === undefined ? [] : [{ pointer, detail }];
  });
  if (errors.length === 0) return;
  const list = errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join('; ');
  throw invalid(`Cannot change the attributes that integration "${integration}" syncs: ${list}`, errors);
}

export function misfitOf(kind: MergeRule['kind'], value: Json): string | undefined {
  if (value === null) return undefined;
  if (kind === 'set' && !Array.isArray(value)) return 'must be a list';
  if (kind === 'map' && (typeof value !== 'object' || Array.isArray(value))) return 'must be an object';
  return undefined;
}
