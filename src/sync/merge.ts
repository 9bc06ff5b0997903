import type { Direction, Strategy } from '../integration/integration.ts';
import type { Json } from '../wire/text/json.ts';

/**
 * Three-way merge of one field of a device, here (`local`) and at its platform (`remote`), with the last common value as base. undefined: the
 * side does not have the field, or does not show it; nothing is concluded from that. null is a value.
 */
export type MergeInput = {
  rule: MergeRule;
  /** undefined: the sides never agreed on a value. */
  base: Json | undefined;
  local: Json | undefined;
  remote: Json | undefined;
  localChangedAt: Date | null;
  /** When the platform changed the device, which may be about another field. */
  remoteChangedAt: Date | null;
};

/** `set`: an array whose order and repetitions do not count. `map`: an object whose keys are decided one by one. */
export type MergeRule = { kind: 'scalar' | 'set' | 'map'; direction: Direction; strategy: Strategy };

export type Side = 'local' | 'remote';

export type Decision =
  /** Both sides have this value, or nothing is known: nothing is written. */
  | { is: 'agreed'; value: Json | undefined }
  /** One side gets the other's value. `overwritten`: an edit of `to`, which the direction does not carry; people must be able to read it. */
  | { is: 'carried'; to: Side; value: Json; overwritten: Json | undefined }
  /** Both sides changed, and the strategy decides. Each side that has another value gets `value`. */
  | { is: 'resolved'; by: 'local' | 'remote' | 'newest' | 'merge'; value: Json }
  /** Both sides changed, and a person decides. Neither side is written. */
  | { is: 'conflict' };

/** Decides one field. Pure: the same values give the same decision. */
export function mergeField({ rule, base, local, remote, localChangedAt, remoteChangedAt }: MergeInput): Decision {
  const { kind, direction } = rule;
  const same = (one: Json | undefined, other: Json | undefined) => isSame(kind, one, other);
  if (same(local, remote)) return { is: 'agreed', value: local };
  if (direction === 'import') return carry('local', remote, local, base !== undefined && !same(local, base));
  // A default of ours is no edit: the platform may have no such value for this device.
  if (remote === undefined && (base === undefined ? localChangedAt === null : same(local, base))) return { is: 'agreed', value: undefined };
  if (direction === 'export') return carry('remote', local, remote, base !== undefined && remote !== undefined && !same(remote, base));
  if (remote === undefined) return carry('remote', local, undefined, false);
  if (local === undefined || (base !== undefined && same(local, base))) return carry('local', remote, local, false);
  if (base !== undefined && same(remote, base)) return carry('remote', local, remote, false);
  return decide({ rule, base, local, remote, localChangedAt, remoteChangedAt });
}

/** @param value undefined: the other side shows nothing that could be carried */
function carry(to: Side, value: Json | undefined, replaced: Json | undefined, isEdit: boolean): Decision {
  if (value === undefined) return { is: 'agreed', value: undefined };
  return { is: 'carried', to, value, overwritten: isEdit ? replaced : undefined };
}

type Differing = MergeInput & { local: Json; remote: Json };

function decide(input: Differing): Decision {
  const { rule, local, remote } = input;
  switch (rule.strategy) {
    case 'local_wins':
      return { is: 'resolved', by: 'local', value: local };
    case 'remote_wins':
      return { is: 'resolved', by: 'remote', value: remote };
    case 'newest_wins':
      return newest(input);
    case 'merge': {
      const value = merged(input);
      return value === undefined ? { is: 'conflict' } : { is: 'resolved', by: 'merge', value };
    }
    case 'manual':
      return { is: 'conflict' };
  }
}

/** Without both times, or with the same time, nobody knows which side is newer. */
function newest({ local, remote, localChangedAt, remoteChangedAt }: Differing): Decision {
  if (localChangedAt === null || remoteChangedAt === null || localChangedAt.getTime() === remoteChangedAt.getTime())
    return { is: 'conflict' };
  return { is: 'resolved', by: 'newest', value: localChangedAt > remoteChangedAt ? local : remote };
}

/** @returns undefined when the changes cannot both be kept */
function merged({ rule, base, local, remote }: Differing): Json | undefined {
  if (rule.kind === 'set' && Array.isArray(local) && Array.isArray(remote))
    return mergeSets(Array.isArray(base) ? base : [], local, remote);
  if (rule.kind === 'map' && isMap(local) && isMap(remote)) return mergeMaps(isMap(base) ? base : {}, local, remote);
  return undefined;
}

/** Keeps what either side added, and removes what either side removed, in an order that depends on neither side. */
export function mergeSets(base: readonly Json[], local: readonly Json[], remote: readonly Json[]): Json[] {
  const [before, here, there] = [base, local, remote].map((items) => new Map(items.map((item) => [canonical(item), item])));
  const kept: [string, Json][] = [];
  for (const [key, item] of new Map([...(here ?? []), ...(there ?? [])]))
    if (!before?.has(key) || (here?.has(key) && there?.has(key))) kept.push([key, item]);
  return kept.sort(([one], [other]) => (one < other ? -1 : 1)).map(([, item]) => item);
}

/** @returns undefined where both sides changed a key in different ways */
function mergeMaps(base: JsonMap, local: JsonMap, remote: JsonMap): Json | undefined {
  const result = new Map<string, Json>();
  for (const key of new Set([...Object.keys(base), ...Object.keys(local), ...Object.keys(remote)].sort())) {
    const [before, here, there] = [base, local, remote].map((map) => (Object.hasOwn(map, key) ? map[key] : undefined));
    const isLocalEdit = !isSame('scalar', here, before);
    const isRemoteEdit = !isSame('scalar', there, before);
    if (isLocalEdit && isRemoteEdit && !isSame('scalar', here, there)) return undefined;
    const value = isLocalEdit ? here : there;
    if (value !== undefined) result.set(key, value);
  }
  return Object.fromEntries(result);
}

export function isSame(kind: MergeRule['kind'], one: Json | undefined, other: Json | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false;
  return normal(kind, one) === normal(kind, other);
}

function normal(kind: MergeRule['kind'], value: Json): string {
  return kind === 'set' && Array.isArray(value) ? [...new Set(value.map(canonical))].sort().join() : canonical(value);
}

/** JSON text with sorted keys: equal for equal values. */
export function canonical(value: Json): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key] as Json)}`).join()}}`;
}

type JsonMap = { [key: string]: Json };

function isMap(value: Json | undefined): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
