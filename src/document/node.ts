/** A node of a configuration file as written. Offsets count UTF-16 units of the text. */
export type SourceNode = ScalarNode | MapNode | ListNode | AliasNode;

type Place = {
  start: number;
  /** For a block collection: the end of its last value. */
  end: number;
  /** The start of its tag or anchor; `start` without one. */
  outer: number;
  /** The end of its tag and anchor; null without one. */
  propsEnd: number | null;
  /** The resolved tag; null without one. */
  tag: string | null;
  /** The tag as written in the file. */
  rawTag: string | null;
  anchor: string | null;
  /** Characters and nesting with every alias replaced by its target. */
  expandedChars: number;
  depth: number;
};

export type ScalarNode = Place & { kind: 'scalar'; value: unknown; raw: string; style: 'plain' | 'quoted' | 'block' };
export type MapNode = Place & { kind: 'map'; isFlow: boolean; pairs: PairNode[] };
export type ListNode = Place & { kind: 'list'; isFlow: boolean; items: SourceNode[] };
export type AliasNode = Place & { kind: 'alias'; target: Exclude<SourceNode, AliasNode> };

export type PairNode = {
  /** The key as in JSON. */
  name: string;
  key: ScalarNode;
  /** The start of the key, including its tag, its anchor and its `?`. */
  start: number;
  /** null: the file has only the key. */
  colon: number | null;
  value: SourceNode;
  /** The key is YAML's `<<`. */
  isMerge: boolean;
};

/** The minimum size of a value in characters, so that the limit also covers many small values. */
export const MIN_NODE_CHARS = 8;

/** Returns the target of an alias, or any other node itself. */
export function resolved(node: SourceNode): Exclude<SourceNode, AliasNode> {
  return node.kind === 'alias' ? node.target : node;
}

/** Two `<<` of one map that have the same key with different values. */
export class AmbiguousMerge extends Error {
  readonly pair: PairNode;
  readonly merge: PairNode;

  constructor(pair: PairNode, merge: PairNode) {
    super('Two merge keys have the same key with different values');
    this.pair = pair;
    this.merge = merge;
  }
}

/** A member of a map: its own, or one inherited by the merge key `via`. */
export type Member = { pair: PairNode; via: PairNode | null };

/**
 * Returns the members by name as YAML readers do: a map's own member takes precedence over those of `<<`, and an earlier map of a list over a later one.
 * @throws AmbiguousMerge
 */
export function membersOf(map: MapNode): Map<string, Member> {
  const own = new Map<string, Member>();
  for (const pair of map.pairs) if (!pair.isMerge) own.set(pair.name, { pair, via: null });
  if (own.size === map.pairs.length) return own;
  const members = new Map<string, Member>();
  for (const merge of map.pairs) {
    if (!merge.isMerge) continue;
    for (const [name, pair] of inheritedFrom(merge.value)) {
      const other = members.get(name);
      if (other !== undefined && !own.has(name) && !isSame(other.pair, pair)) throw new AmbiguousMerge(pair, merge);
      if (other === undefined) members.set(name, { pair, via: merge });
    }
  }
  for (const [name, member] of own) members.set(name, member);
  return members;
}

function inheritedFrom(value: SourceNode): Map<string, PairNode> {
  const node = resolved(value);
  const inherited = new Map<string, PairNode>();
  const maps = node.kind === 'list' ? node.items.map(resolved) : [node];
  for (const map of maps) {
    if (map.kind !== 'map') continue;
    for (const [name, { pair }] of membersOf(map)) if (!inherited.has(name)) inherited.set(name, pair);
  }
  return inherited;
}

function isSame(one: PairNode, other: PairNode): boolean {
  const [a, b] = [resolved(one.value), resolved(other.value)];
  return a === b || (a.kind === 'scalar' && b.kind === 'scalar' && a.raw === b.raw && a.tag === b.tag && a.style !== 'block');
}

/** Returns the value as in JSON, with merge keys applied. An alias gives the same object as its anchor. `scalar` maps a scalar to its value. */
export function plainValue(root: SourceNode, scalar: (node: ScalarNode) => unknown = ({ value }) => value): unknown {
  const anchored = new Map<SourceNode, unknown>();
  const read = (source: SourceNode): unknown => {
    const node = resolved(source);
    if (node.kind === 'scalar') return scalar(node);
    if (anchored.has(node)) return anchored.get(node);
    const value = node.kind === 'list' ? node.items.map(read) : readMap(node);
    if (node.anchor !== null) anchored.set(node, value);
    return value;
  };
  const readMap = (map: MapNode): Record<string, unknown> => {
    const value: Record<string, unknown> = {};
    for (const [name, { pair }] of membersOf(map)) value[name] = read(pair.value);
    return value;
  };
  return read(root);
}
