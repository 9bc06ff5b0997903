import { LRUCache } from 'lru-cache';
import { isRecord, toPointer } from '../../document/document.ts';
import { buildCheck } from './check/build.ts';
import { compilePattern } from './check/pattern.ts';
import type { Check, Findings, SchemaFault } from './check/visit.ts';
import { pathOf } from './check/visit.ts';
import type { SchemaClosure } from './closure.ts';
import type { Draft } from './dialect.ts';
import { DRAFTS, draftUri, isPlainReference } from './dialect.ts';
import type { LinkedSchema } from './link.ts';
import { Linker } from './link.ts';
import { mayTakeLong } from './may-take-long.ts';
import { metaschemaOf } from './metaschemas.ts';
import type { SchemaNode } from './resources.ts';
import { Resources } from './resources.ts';

/** The verdict of a schema on one value. */
export type SchemaVerdict = {
  faults: SchemaFault[];
  /** JSON pointers of the values that it marks `writeOnly` or `x-secret`. */
  secrets: Set<string>;
};

export type CompiledSchema = {
  check(value: unknown): SchemaVerdict;
  /** A pattern may take exponential time, references may multiply: to be checked within a time limit. */
  mayBeSlow: boolean;
};

/** A fault of a schema itself, in a file of its closure. */
export type FaultInSchema =
  | { file: string; draft: Draft; fault: SchemaFault }
  | { file: string; path: string[]; rule: string; actual: unknown; detail: string };

export type Compilation = { ok: true; schema: CompiledSchema } | { ok: false; faults: FaultInSchema[] };

/** Compiling takes milliseconds, using microseconds: the same few schemas serve thousands of folders, commit after commit. */
const compiled = new LRUCache<string, CompiledSchema>({ max: 256 });

/** Each schema by the rules of its own draft; unknown keywords and formats are ignored, as the standard asks. */
export function compileSchema(closure: SchemaClosure): Compilation {
  const known = compiled.get(closure.key);
  if (known !== undefined) return { ok: true, schema: known };
  const faults = faultsOf(closure);
  if (faults.length > 0) return { ok: false, faults };
  const check = buildCheck(closure, { formats: true });
  const schema = { check: (value: unknown) => verdictOf(check, value), mayBeSlow: mayBeSlow(closure) };
  compiled.set(closure.key, schema);
  return { ok: true, schema };
}

function verdictOf(check: Check, value: unknown): SchemaVerdict {
  const findings: Findings = { faults: [], secrets: [] };
  check(value, { findings, place: null, scope: null, evaluated: null });
  return { faults: findings.faults, secrets: new Set(findings.secrets.map((place) => toPointer(pathOf(place)))) };
}

/** Faults by the metaschemas of their drafts. Without any, faults that metaschemas cannot express. */
function faultsOf(closure: LinkedSchema): FaultInSchema[] {
  const roots = closure.roots.filter(({ resource }) => metaschemaOf(resource.source.name) === null);
  const bySource = Map.groupBy(roots, ({ resource }) => resource.source);
  const faults = [...bySource.values()].flatMap((own) => DRAFTS.flatMap((draft) => faultsOfDraft(own, draft)));
  return faults.length > 0 ? faults : closure.nodes.flatMap(ownFaults);
}

/** @param roots of one file */
function faultsOfDraft(roots: readonly SchemaNode[], draft: Draft): FaultInSchema[] {
  const isForeign = ({ resource }: SchemaNode): boolean => resource.draft !== draft;
  const foreign = new Set(roots.filter(isForeign).map(({ path }) => toPointer(path)));
  return roots.flatMap((root) => {
    if (isForeign(root)) return [];
    const { faults } = verdictOf(metaCheck(draft), withoutForeign(root.value, root.path, foreign));
    const file = root.resource.source.name;
    return faults.map((fault) => ({ file, draft, fault: { ...fault, path: [...root.path, ...fault.path] } }));
  });
}

/** The parts of other drafts are judged by their own metaschemas. */
function withoutForeign(value: unknown, path: readonly string[], foreign: ReadonlySet<string>): unknown {
  if (foreign.size === 0) return value;
  if (foreign.has(toPointer(path))) return {};
  if (Array.isArray(value)) return value.map((item, index) => withoutForeign(item, [...path, String(index)], foreign));
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withoutForeign(inner, [...path, name], foreign)]));
}

const metaChecks = new Map<Draft, Check>();

function metaCheck(draft: Draft): Check {
  const check = metaChecks.get(draft) ?? buildCheck(linkMetaschema(draft), { formats: false });
  metaChecks.set(draft, check);
  return check;
}

function linkMetaschema(draft: Draft): LinkedSchema {
  const source = metaschemaOf(draftUri(draft));
  if (source === null) throw new Error(`Cannot check a schema: the metaschema of ${draft} is missing`);
  const resources = new Resources();
  const root = resources.add({ ...source });
  const linker = new Linker(resources);
  const [open] = linker.advance();
  if (open !== undefined) throw new Error(`Cannot check a schema: the metaschema of ${draft} refers to ${open.text}, which is missing`);
  return { root, nodes: resources.nodes, roots: resources.roots, targets: linker.targets };
}

/** Patterns that are none, and marks of secrets that would go unnoticed. */
function ownFaults({ value, path, resource }: SchemaNode): FaultInSchema[] {
  if (!isRecord(value)) return [];
  const file = resource.source.name;
  const secret = value['x-secret'];
  const marks =
    secret === undefined || typeof secret === 'boolean' ? [] : [{ rule: 'x-secret', actual: secret, detail: 'must be true or false' }];
  const faults = marks.map((fault) => ({ file, path: [...path, 'x-secret'], ...fault }));
  if (isPlainReference(value, resource.draft)) return faults;
  const { pattern, patternProperties } = value;
  const patterns = [
    ...(typeof pattern === 'string' ? [{ actual: pattern, path: [...path, 'pattern'] }] : []),
    ...Object.keys(isRecord(patternProperties) ? patternProperties : {}).map((name) => ({
      actual: name,
      path: [...path, 'patternProperties', name],
    })),
  ];
  const wrong = patterns.flatMap((place) => {
    const result = compilePattern(place.actual);
    return result.ok ? [] : [{ file, rule: 'pattern', detail: `which ${result.detail}`, ...place }];
  });
  return [...faults, ...wrong];
}

/** Whether it is to be compiled and used within a time limit. */
export function mayBeSlow({ nodes, isBuiltin }: SchemaClosure): boolean {
  if (isBuiltin) return false;
  return mayTakeLong([...new Set(nodes.map(({ resource }) => resource.source))].map(({ value }) => value));
}
