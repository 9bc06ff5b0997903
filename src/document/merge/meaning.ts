import type { ScalarNode, SourceNode } from '../node.ts';
import { membersOf, resolved } from '../node.ts';

/**
 * The meaning of a file, independent of its layout: aliases are resolved, merge keys are applied. Scalars keep their spelling, since `1.10` and `1.1`,
 * or `yes` and `"yes"`, are not the same to every reader.
 */
export type Meaning = ScalarMeaning | ListMeaning | MapMeaning;

export type ScalarMeaning = { kind: 'scalar'; node: ScalarNode };
export type ListMeaning = { kind: 'list'; tag: string | null; rawTag: string | null; items: Meaning[] };
export type MapMeaning = { kind: 'map'; tag: string | null; rawTag: string | null; members: ReadonlyMap<string, MeaningMember> };
export type MeaningMember = { key: ScalarNode; value: Meaning };

/** Caches meanings: aliases share their targets, and merges of many devices share the common layers. */
const known = new WeakMap<SourceNode, Meaning>();

export function meaningOf(source: SourceNode): Meaning {
  const node = resolved(source);
  if (node.kind === 'scalar') return { kind: 'scalar', node };
  const before = known.get(node);
  if (before !== undefined) return before;
  const { tag, rawTag } = node;
  const meaning: Meaning =
    node.kind === 'list'
      ? { kind: 'list', tag, rawTag, items: node.items.map(meaningOf) }
      : {
          kind: 'map',
          tag,
          rawTag,
          members: new Map([...membersOf(node)].map(([name, { pair }]) => [name, { key: pair.key, value: meaningOf(pair.value) }])),
        };
  known.set(node, meaning);
  return meaning;
}

/** Applies RFC 7386 to meanings. `target` is undefined for a missing value. */
export function mergeMeanings(target: Meaning | undefined, patch: Meaning): Meaning {
  if (patch.kind !== 'map') return patch;
  const isMap = target?.kind === 'map';
  const members = new Map<string, MeaningMember>(isMap ? target.members : []);
  for (const [name, { key, value }] of patch.members) {
    const old = members.get(name);
    if (isNull(value)) members.delete(name);
    else members.set(name, { key: old?.key ?? key, value: mergeMeanings(old?.value, value) });
  }
  const { tag, rawTag } = isMap ? target : patch;
  return { kind: 'map', tag, rawTag, members };
}

/** Converts a scalar, and a map whose members are already converted. */
export type MeaningReader = { scalar(node: ScalarNode): unknown; map(members: ReadonlyMap<string, unknown>): unknown };

export function readMeaning(meaning: Meaning, reader: MeaningReader): unknown {
  if (meaning.kind === 'scalar') return reader.scalar(meaning.node);
  if (meaning.kind === 'list') return meaning.items.map((item) => readMeaning(item, reader));
  return reader.map(new Map([...meaning.members].map(([name, { value }]) => [name, readMeaning(value, reader)])));
}

export function isNull(meaning: Meaning): boolean {
  return meaning.kind === 'scalar' && meaning.node.value === null;
}

/** Returns whether a merge patch drops a null member when it adds this value. */
export function hasNullMember(meaning: Meaning): boolean {
  if (meaning.kind !== 'map') return false;
  return [...meaning.members.values()].some(({ value }) => isNull(value) || hasNullMember(value));
}

/** Returns the path of the first difference between two files; null for the same meaning. The order of members does not count. */
export function firstDifference(one: Meaning, other: Meaning, path: readonly string[] = []): readonly string[] | null {
  if (one === other) return null;
  if (one.kind === 'scalar') return other.kind === 'scalar' && identityOf(one.node) === identityOf(other.node) ? null : path;
  if (other.kind === 'scalar') return path;
  if (one.tag !== other.tag) return path;
  if (one.kind === 'list') {
    if (other.kind !== 'list' || one.items.length !== other.items.length) return path;
    return firstOf(one.items.entries(), ([index, item]) => firstDifference(item, other.items[index] ?? item, [...path, String(index)]));
  }
  if (other.kind !== 'map') return path;
  const added = [...other.members.keys()].find((name) => !one.members.has(name));
  if (added !== undefined) return [...path, added];
  return firstOf(one.members, ([name, member]) => {
    const match = other.members.get(name);
    const at = [...path, name];
    if (match === undefined || identityOf(match.key) !== identityOf(member.key)) return at;
    return firstDifference(member.value, match.value, at);
  });
}

export function hasSameMeaning(one: Meaning, other: Meaning): boolean {
  return firstDifference(one, other) === null;
}

function firstOf<T>(values: Iterable<T>, find: (value: T) => readonly string[] | null): readonly string[] | null {
  for (const value of values) {
    const found = find(value);
    if (found !== null) return found;
  }
  return null;
}

/** Characters that a plain scalar between flow brackets must not have. */
export const FLOW_INDICATORS = /[[\]{},]/;

/** Returns the same text for two scalars only if every reader of YAML 1.1 or 1.2 reads the same value. */
export function identityOf({ tag, value, raw, style }: ScalarNode): string {
  const tagged = tag ?? '';
  if (value === null && tag === null) return 'null';
  if (typeof value !== 'string') return `${tagged} other ${style === 'block' ? String(value) : raw}`;
  // Every reader reads a value with such characters as text, quoted or not.
  const isPlain = style === 'plain' && !FLOW_INDICATORS.test(value);
  return `${tagged} ${isPlain ? 'plain' : 'text'} ${value}`;
}
