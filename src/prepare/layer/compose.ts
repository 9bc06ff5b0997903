import type { DeviceFacts, Fact } from '../../device/facts.ts';
import { differingFacts, factsOfFolder } from '../../device/facts.ts';
import type { Document } from '../../document/document.ts';
import { syntaxOf, toPointer, valueAt } from '../../document/document.ts';
import { MergeFault } from '../../document/merge/fault.ts';
import { mergeDocuments } from '../../document/merge/merge-text.ts';
import { isEncrypted } from '../../document/merge/sops.ts';
import type { TreeFile } from '../../git/pack/tree-diff.ts';
import { configError } from '../../revision/config-error.ts';
import type { ConfigError } from '../../revision/revision.ts';
import type { FleetContext, Work } from '../folder-work.ts';
import { inFolderTime, inRepository } from '../folder-work.ts';
import type { ListedFiles } from '../list-files.ts';
import { MAX_QUICK_BYTES, withinTimeUnless } from '../time-limit.ts';
import type { Composition, Layer, MergedFile, Part, Scope } from './layer.ts';
import { layersFor, ownFiles, sharedFiles } from './layers.ts';
import { originOf } from './merge-patch.ts';
import type { Target } from './parts.ts';
import { documentOf, renderPart } from './parts.ts';
import { readVariables, scopeOf } from './scope.ts';

/**
 * The files that the device of a folder gets from its layers and its own folder, merged and rendered. Where several devices share the folder, it must
 * make no difference which of them is meant. null after an error.
 */
export async function compose(work: Work, fleet: FleetContext, own: ListedFiles): Promise<Composition | null> {
  const { path } = work.folder;
  const bound = fleet.devices.get(path) ?? [];
  const facts = bound[0] ?? factsOfFolder(path);
  const layers = layersFor(fleet.manifest, path, facts);
  work.dependsOnDevice = layersDepend(fleet);
  const { stacks, removed } = await stack(work, fleet, layers, own);
  const variablesFile = fleet.manifest.variables;
  const isTemplated = fleet.manifest.templates !== undefined;
  const variables = await readVariables(work, fleet, isTemplated ? (stacks.get(variablesFile) ?? []) : []);
  if (variables === null || work.errors.length > 0) return null;
  if (isTemplated) stacks.delete(variablesFile);
  const uses = new Set<Fact>();
  const scope = scopeOf(variables, facts, fleet.sourceName, uses);
  const files: TreeFile[] = [];
  for (const [name, parts] of stacks) {
    const file = await assemble(work, fleet, name, parts, scope);
    if (file !== null) files.push(file);
    // The rest would only say the same.
    if (work.time.isOver) break;
  }
  work.dependsOnDevice ||= uses.size > 0;
  await refuseDifferent(work, fleet, bound, uses);
  return work.errors.length > 0 ? null : { files, layers, removed, variables, scope, facts };
}

type Stacks = { stacks: Map<string, Part[]>; removed: Map<string, Part> };

/** By the path in the device's folder, what each layer says of a file; nothing from before it was taken away. */
async function stack(work: Work, fleet: FleetContext, layers: readonly Layer[], own: ListedFiles): Promise<Stacks> {
  const { context, folder, errors } = work;
  const stacks = new Map<string, Part[]>();
  const removed = new Map<string, Part>();
  for (const [index, layer] of layers.entries()) {
    const isOwn = index === layers.length - 1;
    const given = isOwn ? ownFiles(folder, layer, own, fleet.manifest) : await sharedFiles(context, fleet, layer);
    if (!isOwn) work.dependencies.add(layer.path);
    errors.push(...given.errors);
    work.faults.push(...given.faults);
    for (const [name, part] of given.parts) {
      if (part.removes) {
        if (stacks.delete(name)) removed.set(name, part);
        work.faults = work.faults.filter((fault) => fault.path !== name);
      } else {
        stacks.set(name, [...(stacks.get(name) ?? []), part]);
        removed.delete(name);
      }
    }
  }
  const { maxListedFiles } = context.limits;
  if (stacks.size > maxListedFiles) {
    const detail = `gets more than ${maxListedFiles} files from its layers`;
    errors.push(configError({ code: 'too_large', file: folder.path, rule: 'maxListedFiles', limit: maxListedFiles, detail }));
  }
  return { stacks, removed };
}

/** One file of the device, made of what its layers say of it; null after an error. */
async function assemble(work: Work, fleet: FleetContext, name: string, parts: readonly Part[], scope: Scope): Promise<TreeFile | null> {
  const last = parts.at(-1);
  if (last === undefined) return null;
  const { mode } = last;
  const file = inRepository(work.folder, name);
  const syntax = syntaxOf(name);
  if (syntax !== null && parts.length > 1) {
    const merged = await merge({ work, fleet, target: { file, syntax }, scope }, parts);
    if (merged === null) return null;
    const replaced = replacedParts(merged.documents);
    work.origins.set(file, { parts: parts.slice(replaced), documents: merged.documents.slice(replaced) });
    const oid = work.context.objects.keep(bytesOf(merged.result));
    work.documents.set(oid, merged.result);
    return { path: name, mode, oid };
  }
  if (last.isTemplate || last.file !== file) work.origins.set(file, { parts: [last], documents: null });
  if (!last.isTemplate) return { path: name, mode, oid: last.oid };
  const bytes = await renderPart(work, fleet, last, file, scope);
  return bytes === null ? null : { path: name, mode, oid: work.context.objects.keep(bytes) };
}

/** How many of the first files the later ones replaced as a whole. */
function replacedParts(documents: readonly Document[]): number {
  const last = documents.findLastIndex((document) => isEncrypted(document));
  return Math.max(last, 0);
}

function bytesOf({ text, hasByteOrderMark }: Document): Uint8Array {
  return Buffer.from(hasByteOrderMark ? `\ufeff${text}` : text);
}

type Merging = { work: Work; fleet: FleetContext; target: Target; scope: Scope };

/** What all parts make of the file. What shared layers make of it alone is made once for all devices. null after an error. */
async function merge(merging: Merging, parts: readonly Part[]): Promise<MergedFile | null> {
  const { work, fleet, target, scope } = merging;
  const isShared = parts.every((part) => !part.isTemplate && part.layer.path !== work.folder.path);
  const key = isShared ? [target.syntax, ...parts.map((part) => part.oid)].join(' ') : null;
  const known = key === null ? undefined : fleet.merged.get(key);
  if (known !== undefined) return known;
  const last = parts.at(-1);
  if (last === undefined) return null;
  const below = parts.length === 1 ? null : await merge(merging, parts.slice(0, -1));
  if (below === null && parts.length > 1) return null;
  const document = await documentOf(work, fleet, last, target, scope);
  if (document === null) return null;
  const result = below === null ? document : mergePart(merging, parts, below, document);
  if (result === null) return null;
  const merged = { result, documents: [...(below?.documents ?? []), document] };
  if (key !== null) fleet.merged.set(key, merged);
  return merged;
}

/** null after an error. */
function mergePart({ work, target }: Merging, parts: readonly Part[], below: MergedFile, document: Document): Document | null {
  const { limits } = work.context;
  const isQuick = below.result.text.length + document.text.length <= MAX_QUICK_BYTES;
  const mergeNow = () => mergeDocuments(below.result, document, target.syntax, limits);
  try {
    return inFolderTime(work, { file: target.file, doing: 'be merged', isQuick }, (msLeft) => withinTimeUnless(isQuick, msLeft, mergeNow));
  } catch (error) {
    if (!(error instanceof MergeFault)) throw error;
    work.errors.push(mergeError(error, parts, [...below.documents, document], target));
    return null;
  }
}

/** At the value that cannot be merged, in the last file that names it. */
function mergeError(
  { path, rule, message }: MergeFault,
  parts: readonly Part[],
  documents: readonly Document[],
  { file }: Target,
): ConfigError {
  const last = documents.length - 1;
  const isNamed = valueAt(documents[last]?.value, path) !== undefined;
  const index = isNamed ? last : originOf(valuesOf(documents), path);
  const { file: from = file, isTemplate = false } = parts[index] ?? {};
  const line = isTemplate ? undefined : documents[index]?.lineOf(path);
  const rendered = from === file ? undefined : file;
  return configError({ code: 'merge', file: from, line, pointer: toPointer(path), rule, rendered, detail: message });
}

/** What the documents say, in their order. One that says nothing at all changes nothing. */
export function valuesOf(documents: readonly Document[]): unknown[] {
  const [first, ...patches] = documents.map((document) => document.value);
  return [first ?? {}, ...patches.map((patch) => patch ?? {})];
}

function layersDepend({ manifest: { layers } }: FleetContext): boolean {
  return layers?.sites !== undefined || (layers?.labels.length ?? 0) > 0;
}

/** Devices that share a folder get one bundle: nobody chooses for which of them it is made. */
async function refuseDifferent(work: Work, fleet: FleetContext, bound: readonly DeviceFacts[], uses: ReadonlySet<Fact>): Promise<void> {
  const { path } = work.folder;
  const [first, ...others] = bound;
  if (first === undefined || others.length === 0) return;
  const layers = await layersInUse(work, fleet, first);
  for (const other of others) {
    const differing = (await layersInUse(work, fleet, other)) === layers ? differingFacts(first, other, uses) : ['layers'];
    if (differing.length === 0) continue;
    const names = `${JSON.stringify(first.id)} and ${JSON.stringify(other.id)}`;
    const detail = `is the folder of ${bound.length} devices, of which ${names} differ in ${differing.join(', ')}: give each a folder of its own`;
    work.errors.push(configError({ code: 'device', file: path, rule: 'shared', detail }));
    return;
  }
}

/** Names of the layers that have something for the device. */
async function layersInUse(work: Work, fleet: FleetContext, facts: DeviceFacts): Promise<string> {
  const names: string[] = [];
  for (const layer of layersFor(fleet.manifest, work.folder.path, facts).slice(0, -1)) {
    work.dependencies.add(layer.path);
    if ((await sharedFiles(work.context, fleet, layer)).parts.size > 0) names.push(layer.name);
  }
  return names.join();
}
