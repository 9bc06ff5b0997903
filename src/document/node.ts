/** A configuration file as its author wrote it. Offsets count UTF-16 units of the text. */
export type SourceNode = ScalarNode | MapNode | ListNode | AliasNode;

type Place = {
  start: number;
  /** Of a block collection: the end of its last value. */
  end: number;
  /** Where its tag or anchor begins; else `start`. */
  outer: number;
  /** Where its tag and anchor end; null without. */
  propsEnd: number | null;
  /** The tag that the file names, resolved; null without. */
  tag: string | null;
  /** The tag as the file spells it. */
  rawTag: string | null;
  anchor: string | null;
  /** Characters and nesting with every alias replaced by what it stands for. */
  expandedChars: number;
  depth: number;
};

export type ScalarNode = Place & { kind: 'scalar'; value: unknown; raw: string; style: 'plain' | 'quoted' | 'block' };
export type MapNode = Place & { kind: 'map'; isFlow: boolean; pairs: PairNode[] };
export type ListNode = Place & { kind: 'list'; isFlow: boolean; items: SourceNode[] };
export type AliasNode = Place & { kind: 'alias'; target: Exclude<SourceNode, AliasNode> };

export type PairNode = {
  /** The key as JSON has it. */
  name: string;
  key: ScalarNode;
  /** Where the key begins, with its tag, its anchor and its `?`. */
  start: number;
  /** null: the file has only the key. */
  colon: number | null;
  value: SourceNode;
  /** The key is YAML's `<<`. */
  isMerge: boolean;
};

/** Characters that a value counts at least, so that many small ones count as well. */
export const MIN_NODE_CHARS = 8;

/** What an alias stands for; any other node itself. */
export function resolved(node: SourceNode): Exclude<SourceNode, AliasNode> {
  return node.kind === 'alias' ? node.target : node;
}

/** Two `<<` of one map that bring the same key with different values. */
export class AmbiguousMerge extends Error {
  readonly pair: PairNode;
  readonly merge: PairNode;

  constructor(pair: PairNode, merge: PairNode) {
    super('Two merge keys bring the same key');
    this.pair = pair;
    this.merge = merge;
  }
}

/** A member of a map: its own, or one that the merge key `via` brings. */
export type Member = { pair: PairNode; via: PairNode | null };

/**
 * Members by name as readers of YAML see them: a map's own member wins over those of `<<`, and an earlier map of a list wins over a later one.
 * @throws AmbiguousMerge
 */
export function membersOf(map: MapNode): Map<string, Member> {
  const own = new Map<string, Member>();
  for (const pair of map.pairs) if (!pair.isMerge) own.set(pair.name, { pair, via: null });
  if (own.size === map.pairs.length) return own;
  const members = new Map<string, Member>();
  for (const merge of map.pairs) {
    if (!merge.isMerge) continue;
    for (const [name, pair] of broughtBy(merge.value)) {
      const other = members.get(name);
      if (other !== undefined && !own.has(name) && !isSame(other.pair, pair)) throw new AmbiguousMerge(pair, merge);
      if (other === undefined) members.set(name, { pair, via: merge });
    }
  }
  for (const [name, member] of own) members.set(name, member);
  return members;
}

function broughtBy(value: SourceNode): Map<string, PairNode> {
  const node = resolved(value);
  const brought = new Map<string, PairNode>();
  const maps = node.kind === 'list' ? node.items.map(resolved) : [node];
  for (const map of maps) {
    if (map.kind !== 'map') continue;
    for (const [name, { pair }] of membersOf(map)) if (!brought.has(name)) brought.set(name, pair);
  }
  return brought;
}

function isSame(one: PairNode, other: PairNode): boolean {
  const [a, b] = [resolved(one.value), resolved(other.value)];
  return a === b || (a.kind === 'scalar' && b.kind === 'scalar' && a.raw === b.raw && a.tag === b.tag && a.style !== 'block');
}

/** The value as JSON has it, with merge keys applied. An alias gives the very object of its anchor. `scalar` gives the value of a scalar. */
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
