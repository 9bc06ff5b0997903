import type { CST, Node, Pair, Document as YamlDocument } from 'yaml';
import { isAlias, isCollection, isMap, isScalar, isSeq, parseAllDocuments } from 'yaml';
import type { DocumentFault, DocumentLimits, ParsedDocument } from './document.ts';
import { lineCounter, lineFinder } from './document.ts';
import type { AliasNode, ListNode, MapNode, PairNode, ScalarNode, SourceNode } from './node.ts';
import { AmbiguousMerge, MIN_NODE_CHARS, membersOf, plainValue, resolved } from './node.ts';
import { spansOf } from './spans.ts';

/**
 * Parses YAML 1.2 with the core schema, regardless of a `%YAML` directive, and with the merge key `<<` of YAML 1.1, which most readers support. Refuses
 * duplicate and composed keys, `__proto__`, aliases that contain themselves or multiply, and unlimited nesting.
 */
export function parseYaml(text: string, limits: DocumentLimits): ParsedDocument {
  const lineAt = lineCounter(text);
  try {
    const roots = readParts(text, limits);
    const values = roots.map((root) => plainValue(root));
    const value = values.length > 1 ? values : (values[0] ?? null);
    const spans = () => spansOf(roots);
    const parts = Math.max(roots.length, 1);
    return { ok: true, document: { value, text, hasByteOrderMark: false, roots, parts, spans, lineOf: lineFinder(spans, lineAt) } };
  } catch (error) {
    const { fault, offset } = faultOf(error, limits);
    return { ok: false, fault: { ...fault, ...(offset === null ? {} : { line: lineAt(offset) }) } };
  }
}

class YamlFault extends Error {
  readonly fault: DocumentFault;
  readonly offset: number | null;

  constructor(fault: DocumentFault, offset: number | null) {
    super(fault.detail);
    this.fault = fault;
    this.offset = offset;
  }
}

function readParts(text: string, limits: DocumentLimits): SourceNode[] {
  const parts = parseAllDocuments(text, {
    version: '1.2',
    schema: 'core',
    // The package applies merge keys only to plain values; `membersOf` applies them to the nodes of the text as well.
    merge: false,
    resolveKnownTags: false,
    // The package compares all pairs of keys, which is slow for a hostile file; the walk below finds duplicates with a set.
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
    keepSourceTokens: true,
  });
  for (const part of parts) {
    const error = part.errors[0];
    if (error?.code === 'RESOURCE_EXHAUSTION') throw new RangeError('Too deep');
    // The package's message quotes the text; its code does not.
    const detail = `is not valid YAML here (${error?.code.toLowerCase().replaceAll('_', ' ')})`;
    if (error !== undefined) throw new YamlFault({ code: 'syntax', rule: 'yaml', detail, path: [] }, error.pos[0]);
  }
  return [...parts].flatMap((part, index) => rootOf(part, text, parts.length > 1 ? [String(index)] : [], limits));
}

function rootOf(part: YamlDocument, text: string, path: readonly string[], limits: DocumentLimits): SourceNode[] {
  const { contents } = part;
  // The package returns an empty scalar for a file with only comments.
  if (contents === null || (path.length === 0 && isEmpty(contents))) return [];
  const walk: Walk = { text, open: new Set(), anchors: new Map(), repeatedChars: 0, limits };
  return [build(walk, contents, path, [], contents.range?.[0] ?? 0)];
}

function isEmpty(node: Node): boolean {
  return isScalar(node) && node.source === '' && node.tag === undefined && node.anchor === undefined && node.type === 'PLAIN';
}

function faultOf(error: unknown, limits: DocumentLimits): YamlFault {
  if (error instanceof YamlFault) return error;
  // The composer recurses and exhausts the stack before the walk below can count the depth.
  if (error instanceof RangeError) return tooDeep(limits.maxDocumentDepth, null);
  throw error;
}

type Walk = {
  text: string;
  open: Set<string>;
  /** Targets by anchor. The package would search the whole text for each alias. */
  anchors: Map<string, Exclude<SourceNode, AliasNode>>;
  repeatedChars: number;
  limits: DocumentLimits;
};

type Path = readonly string[];

/** @param props the tokens before the value, including its tag and anchor @param at the position of an empty value */
function build(walk: Walk, node: Node, path: Path, props: readonly CST.SourceToken[], at: number): SourceNode {
  const place = placeOf(node, props, at);
  if (isAlias(node)) return { ...place, kind: 'alias', ...aliased(walk, node.source, place.start, place.end) };
  if (!isCollection(node)) return withAnchor(walk, scalarOf(walk, node, place));
  if (path.length >= walk.limits.maxDocumentDepth) throw tooDeep(walk.limits.maxDocumentDepth, place.start);
  const isFlow = node.flow === true;
  const isNew = place.anchor !== null && !walk.open.has(place.anchor);
  if (place.anchor !== null) {
    walk.open.add(place.anchor);
    walk.anchors.delete(place.anchor);
  }
  const children = isMap(node) ? pairsOf(walk, node.items, path) : [];
  const items = isSeq(node) ? itemsOf(walk, node.items, node.srcToken, path) : [];
  if (isNew && place.anchor !== null) walk.open.delete(place.anchor);
  const inner = [...items, ...children.flatMap(({ key, value }) => [key, value])];
  const sized = { ...place, ...sizeOf(inner), end: isFlow ? place.end : Math.max(place.start, ...ends(items, children)) };
  if (sized.depth > walk.limits.maxDocumentDepth) throw tooDeep(walk.limits.maxDocumentDepth, place.start);
  if (!isMap(node)) return withAnchor(walk, { ...sized, kind: 'list', isFlow, items });
  const map: MapNode = { ...sized, kind: 'map', isFlow, pairs: children };
  checkMergeKeys(map, path);
  return withAnchor(walk, map);
}

function ends(items: readonly SourceNode[], pairs: readonly PairNode[]): number[] {
  const last = items.at(-1);
  const pair = pairs.at(-1);
  return [last?.end ?? 0, pair === undefined ? 0 : Math.max(pair.key.end, (pair.colon ?? -1) + 1, pair.value.end)];
}

function placeOf(node: Node, props: readonly CST.SourceToken[], at: number) {
  const named = props.filter((token) => token.type === 'anchor' || token.type === 'tag');
  const [first] = named;
  const last = named.at(-1);
  const propsEnd = last === undefined ? null : last.offset + last.source.length;
  const isNothing = isScalar(node) && (node.range === undefined || node.range === null || node.range[0] === node.range[1]);
  const [start, end] = isNothing ? [propsEnd ?? at, propsEnd ?? at] : (node.range ?? [at, at]);
  const rawTag = named.find((token) => token.type === 'tag')?.source ?? null;
  const anchor = isAlias(node) ? null : (node.anchor ?? null);
  const marks = { outer: Math.min(first?.offset ?? start, start), propsEnd, tag: node.tag ?? null, rawTag, anchor };
  return { start, end, ...marks, expandedChars: end - start + MIN_NODE_CHARS, depth: 0 };
}

function sizeOf(inner: readonly SourceNode[]): { expandedChars: number; depth: number } {
  let expandedChars = MIN_NODE_CHARS;
  let depth = 0;
  for (const node of inner) {
    expandedChars += node.expandedChars;
    depth = Math.max(depth, node.depth);
  }
  return { expandedChars, depth: depth + 1 };
}

function scalarOf(walk: Walk, node: Node, place: ReturnType<typeof placeOf>): ScalarNode {
  const type = isScalar(node) ? node.type : undefined;
  const style = type === 'PLAIN' || type === undefined ? 'plain' : type.startsWith('BLOCK') ? 'block' : 'quoted';
  const read: unknown = isScalar(node) ? node.value : null;
  const raw = walk.text.slice(place.start, place.end);
  // The package adds a missing line break to a block at the end of the file. YAML, PyYAML and go-yaml do not.
  const isCut = style === 'block' && typeof read === 'string' && isCutBlock(walk.text, place.end);
  return { ...place, kind: 'scalar', value: isCut ? read.replace(/\n$/, '') : read, raw, style };
}

/** Returns whether a block scalar ends at the end of the text without a line break. */
export function isCutBlock(text: string, end: number): boolean {
  return end === text.length && /[^\s][ \t]*$/.test(text.slice(text.lastIndexOf('\n') + 1));
}

/** Resolves an alias used as a key to the repeated text. */
function keyOf(walk: Walk, key: unknown, start: readonly CST.SourceToken[], at: number): ScalarNode | null {
  if (isScalar(key)) return withAnchor(walk, scalarOf(walk, key, placeOf(key, start, at)));
  if (!isAlias(key)) return null;
  const place = placeOf(key, start, at);
  const { target, expandedChars } = aliased(walk, key.source, place.start, place.end);
  if (target.kind !== 'scalar') return null;
  return { ...target, start: place.start, end: place.end, outer: place.outer, propsEnd: null, rawTag: null, anchor: null, expandedChars };
}

/** Records the node's anchor for later aliases. */
function withAnchor<T extends Exclude<SourceNode, AliasNode>>(walk: Walk, node: T): T {
  if (node.anchor !== null) walk.anchors.set(node.anchor, node);
  return node;
}

function itemsOf(walk: Walk, items: readonly unknown[], token: unknown, path: Path): ListNode['items'] {
  const tokens = hasItems(token) ? token.items : [];
  return items.filter(isNode).map((item, index) => {
    const start = tokens[index]?.start ?? [];
    return build(walk, item, [...path, String(index)], start, item.range?.[0] ?? 0);
  });
}

function pairsOf(walk: Walk, items: readonly Pair[], path: Path): PairNode[] {
  const seen = new Set<string>();
  return items.map((pair) => {
    const { start = [], sep = [] } = pair.srcToken ?? {};
    const at = offsetOf(pair.key) ?? 0;
    const fault = (rule: string, detail: string, faultPath: Path) => new YamlFault({ code: 'syntax', rule, detail, path: faultPath }, at);
    const key = keyOf(walk, pair.key, start, at);
    if (key === null) throw fault('key', 'must have only plain keys', path);
    const isMerge = key.style === 'plain' && key.raw === '<<' && (key.tag === null || key.tag === 'tag:yaml.org,2002:merge');
    const name = nameOf(key);
    const keyPath = [...path, name];
    if (name === '__proto__') throw fault('prototype', 'must not have a key named "__proto__"', keyPath);
    if (seen.has(name) && !isMerge) throw fault('duplicate', 'appears twice', keyPath);
    seen.add(isMerge ? '' : name);
    const mark = sep.findIndex((token) => token.type === 'map-value-ind');
    const colon = sep[mark]?.offset ?? null;
    const valueAt = colon === null ? key.end : colon + 1;
    const value = isNode(pair.value)
      ? build(walk, pair.value, keyPath, sep.slice(mark + 1), valueAt)
      : {
          ...key,
          start: key.end,
          end: key.end,
          outer: key.end,
          propsEnd: null,
          tag: null,
          rawTag: null,
          anchor: null,
          value: null,
          raw: '',
        };
    const begin = start.find((token) => token.type === 'explicit-key-ind')?.offset ?? key.outer;
    return { name, key, start: Math.min(begin, key.outer), colon, value, isMerge };
  });
}

/** Keeps the digits of integers beyond the safe range, so that two different ones stay two keys. */
function nameOf({ value, raw }: ScalarNode): string {
  if (value === null) return '';
  return typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) ? raw : String(value);
}

function checkMergeKeys(map: MapNode, path: Path): void {
  const merges = map.pairs.filter((pair) => pair.isMerge);
  for (const { key, value } of merges) {
    const node = resolved(value);
    const maps = node.kind === 'list' ? node.items.map(resolved) : [node];
    if (maps.some((one) => one.kind !== 'map')) {
      const detail = 'is a merge key, must have a map or a list of maps; quote it where it is a name: "<<"';
      throw new YamlFault({ code: 'syntax', rule: 'merge', detail, path: [...path, '<<'] }, key.start);
    }
  }
  if (merges.length < 2) return;
  try {
    membersOf(map);
  } catch (error) {
    if (!(error instanceof AmbiguousMerge)) throw error;
    const detail = 'comes from two merge keys with different values, which readers resolve differently: write it in the map itself';
    throw new YamlFault({ code: 'syntax', rule: 'merge', detail, path: [...path, error.pair.name] }, error.merge.key.start);
  }
}

function aliased(walk: Walk, name: string, start: number, end: number): Pick<AliasNode, 'target' | 'expandedChars' | 'depth'> {
  const refuse = (detail: string): YamlFault => new YamlFault({ code: 'syntax', rule: 'aliases', detail, path: [] }, start);
  const target = walk.anchors.get(name);
  if (target === undefined)
    throw refuse(walk.open.has(name) ? 'has an alias that contains itself' : 'has an alias without an anchor before it');
  const { expandedChars, depth } = target;
  walk.repeatedChars += expandedChars - (end - start);
  const limit = walk.limits.maxYamlExpandedChars;
  if (walk.repeatedChars > limit) throw refuse(`repeats too much by aliases, must be <= ${limit} characters in all`);
  return { target, expandedChars, depth };
}

function tooDeep(maxDepth: number, offset: number | null): YamlFault {
  return new YamlFault(
    { code: 'too_deep', rule: 'depth', detail: `nests deeper than allowed, must be <= ${maxDepth} levels`, path: [] },
    offset,
  );
}

function hasItems(token: unknown): token is { items: readonly { start: CST.SourceToken[] }[] } {
  return typeof token === 'object' && token !== null && 'items' in token && Array.isArray(token.items);
}

function isNode(value: unknown): value is Node {
  return isAlias(value) || isCollection(value) || isScalar(value);
}

function offsetOf(value: unknown): number | null {
  return isNode(value) ? (value.range?.[0] ?? null) : null;
}
