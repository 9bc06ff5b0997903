import type { Alias, Node, Pair, Document as YamlDocument } from 'yaml';
import { isAlias, isCollection, isMap, isScalar, isSeq, parseAllDocuments } from 'yaml';
import type { DocumentFault, DocumentLimits, ParsedDocument, Span } from './document.ts';
import { lineCounter, lineFinder } from './document.ts';

/**
 * YAML 1.2 with the core schema, whatever a `%YAML` directive says, so that a value is what JSON could say. Refuses duplicate and composed
 * keys, `__proto__`, aliases that contain themselves or multiply, and nesting without bound.
 */
export function parseYaml(text: string, limits: DocumentLimits): ParsedDocument {
  const lineAt = lineCounter(text);
  try {
    const parts = readParts(text);
    const spans = parts.flatMap((part, index) => spansOf(part, parts.length > 1 ? [String(index)] : [], limits));
    const values = parts.map((part): unknown => part.toJS({ maxAliasCount: limits.maxYamlAliases }));
    const value = parts.length > 1 ? values : (values[0] ?? null);
    checkDepth(value, limits.maxDocumentDepth);
    return { ok: true, document: { value, parts: parts.length, spans: () => spans, lineOf: lineFinder(() => spans, lineAt) } };
  } catch (error) {
    const fault = faultOf(error, limits);
    return { ok: false, fault: { ...fault.fault, ...(fault.offset === null ? {} : { line: lineAt(fault.offset) }) } };
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

function readParts(text: string): YamlDocument[] {
  const parts = parseAllDocuments(text, {
    version: '1.2',
    schema: 'core',
    merge: false,
    resolveKnownTags: false,
    // The package compares each key with each other, which a hostile file makes slow; the walk below finds duplicates by a set.
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
  });
  for (const part of parts) {
    const error = part.errors[0];
    if (error?.code === 'RESOURCE_EXHAUSTION') throw new RangeError('Too deep');
    // The package's message quotes the text, its code does not.
    const detail = `is not valid YAML here (${error?.code.toLowerCase().replaceAll('_', ' ')})`;
    if (error !== undefined) throw new YamlFault({ code: 'syntax', rule: 'yaml', detail, path: [] }, error.pos[0]);
  }
  return [...parts];
}

function faultOf(error: unknown, limits: DocumentLimits): YamlFault {
  if (error instanceof YamlFault) return error;
  // The composer recurses: it meets the end of the stack before the walk below could count.
  if (error instanceof RangeError) return tooDeep(limits.maxDocumentDepth, null);
  if (error instanceof ReferenceError) {
    return new YamlFault({ code: 'syntax', rule: 'aliases', detail: tooManyAliases(limits), path: [] }, null);
  }
  throw error;
}

type Walk = {
  spans: Span[];
  open: Set<Node>;
  /** Nodes by anchor, and how often each was repeated. The package looks through the whole text for each alias. */
  anchors: Map<string, { node: Node; uses: number }>;
  limits: DocumentLimits;
};

function spansOf(part: YamlDocument, path: readonly string[], limits: DocumentLimits): Span[] {
  const walk: Walk = { spans: [], open: new Set(), anchors: new Map(), limits };
  if (part.contents !== null) visit(walk, part.contents, path, part.contents.range?.[0] ?? 0);
  return walk.spans;
}

function visit(walk: Walk, node: Node, path: readonly string[], keyStart: number): void {
  const [start, end] = node.range ?? [keyStart, keyStart];
  if (!isAlias(node) && node.anchor !== undefined) walk.anchors.set(node.anchor, { node, uses: 0 });
  if (isAlias(node)) {
    walk.spans.push({ path, keyStart, start, end, kind: 'alias', ...aliased(walk, node) });
  } else if (isCollection(node)) {
    if (walk.open.size >= walk.limits.maxDocumentDepth) throw tooDeep(walk.limits.maxDocumentDepth, start);
    walk.spans.push({ path, keyStart, start, end, kind: 'collection' });
    walk.open.add(node);
    if (isMap(node)) visitMap(walk, node.items, path);
    if (isSeq(node)) {
      for (const [index, item] of node.items.entries()) {
        if (isNode(item)) visit(walk, item, [...path, String(index)], item.range?.[0] ?? start);
      }
    }
    walk.open.delete(node);
  } else if (isScalar(node)) {
    walk.spans.push({ path, keyStart, start, end, kind: 'scalar', value: node.value });
  }
}

function visitMap(walk: Walk, items: Pair[], path: readonly string[]): void {
  const seen = new Set<string>();
  for (const { key, value } of items) {
    if (!isScalar(key)) throw new YamlFault({ code: 'syntax', rule: 'key', detail: 'must have only plain keys', path }, offsetOf(key));
    const name = key.value === null ? '' : String(key.value);
    const keyPath = [...path, name];
    if (name === '__proto__') {
      throw new YamlFault(
        { code: 'syntax', rule: 'prototype', detail: 'must not have a key named "__proto__"', path: keyPath },
        offsetOf(key),
      );
    }
    if (seen.has(name)) throw new YamlFault({ code: 'syntax', rule: 'duplicate', detail: 'comes twice', path: keyPath }, offsetOf(key));
    seen.add(name);
    if (isNode(value)) visit(walk, value, keyPath, offsetOf(key) ?? value.range?.[0] ?? 0);
  }
}

function aliased(walk: Walk, alias: Alias): Pick<Span, 'value' | 'target'> {
  const anchor = walk.anchors.get(alias.source);
  const refuse = (detail: string): YamlFault =>
    new YamlFault({ code: 'syntax', rule: 'aliases', detail, path: [] }, alias.range?.[0] ?? null);
  if (anchor === undefined) throw refuse('has an alias whose anchor does not come before it');
  if (walk.open.has(anchor.node)) throw refuse('has an alias that contains itself');
  anchor.uses += 1;
  if (anchor.uses > walk.limits.maxYamlAliases) throw refuse(tooManyAliases(walk.limits));
  const [start, end] = anchor.node.range ?? [0, 0];
  return { target: { start, end }, ...(isScalar(anchor.node) ? { value: anchor.node.value } : {}) };
}

function tooManyAliases(limits: DocumentLimits): string {
  return `uses aliases too often, must be <= ${limits.maxYamlAliases} times what they stand for`;
}

function checkDepth(value: unknown, levelsLeft: number): void {
  if (value === null || typeof value !== 'object') return;
  if (levelsLeft === 0) throw new RangeError('Too deep');
  for (const inner of Object.values(value)) checkDepth(inner, levelsLeft - 1);
}

function tooDeep(maxDepth: number, offset: number | null): YamlFault {
  return new YamlFault(
    { code: 'too_deep', rule: 'depth', detail: `nests deeper than allowed, must be <= ${maxDepth} levels`, path: [] },
    offset,
  );
}

function isNode(value: unknown): value is Node {
  return isAlias(value) || isCollection(value) || isScalar(value);
}

function offsetOf(value: unknown): number | null {
  return isNode(value) ? (value.range?.[0] ?? null) : null;
}
