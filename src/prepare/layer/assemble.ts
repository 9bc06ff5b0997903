import type { Document } from '../../document/document.ts';
import { syntaxOf, toPointer, valueAt } from '../../document/document.ts';
import { MergeFault } from '../../document/merge/fault.ts';
import { mergeDocuments } from '../../document/merge/merge-text.ts';
import { isEncrypted } from '../../document/merge/sops.ts';
import type { TreeFile } from '../../git/pack/tree-diff.ts';
import { configError } from '../../revision/config-error.ts';
import type { ConfigError } from '../../revision/revision.ts';
import type { Folder } from '../folders.ts';
import { inRepository } from '../folders.ts';
import { MAX_QUICK_BYTES } from '../meter/cpu-limit.ts';
import type { Meter } from '../meter/meter.ts';
import type { Stage } from '../stage.ts';
import { found, refused } from '../stage.ts';
import type { ComposedFile, LayerDeps, MergedFile, Part, TemplateScope } from './layer.ts';
import { originOf } from './merge-patch.ts';
import { valuesOf } from './origin.ts';
import type { Target } from './parts.ts';
import { documentOf, renderPart } from './parts.ts';
import { withoutSecrets } from './secrets.ts';

/** Files are assembled for one device. */
export type Device = { folder: Folder; scope: TemplateScope };

/** `made` is null for a file that stands in the device's folder as it is. */
export type AssembledFile = { entry: TreeFile; made: ComposedFile | null };

/** One file of the device, from the parts that its layers have of it. @param name its path in the folder */
export async function assemble(
  deps: LayerDeps,
  meter: Meter,
  device: Device,
  name: string,
  parts: readonly [Part, ...Part[]],
): Promise<Stage<AssembledFile>> {
  const syntax = syntaxOf(name);
  const last = parts.at(-1) ?? parts[0];
  if (syntax !== null && parts.length > 1) return await assembleMerged(deps, meter, device, { name, syntax, mode: last.mode }, parts);
  const file = inRepository(device.folder, name);
  if (last.isTemplate) {
    const rendered = await renderPart(deps, meter, last, file, device.scope);
    if (rendered.value === null) return rendered;
    const { bytes, template, secrets } = rendered.value;
    const made = { origin: { parts: [last], documents: null, templates: [template] }, document: null, secrets: new Set(secrets) };
    return found({ entry: { path: name, mode: last.mode, oid: deps.objects.keep(bytes) }, made });
  }
  const origin = last.file === file ? null : { parts: [last], documents: null, templates: [null] };
  const made = origin === null ? null : { origin, document: null, secrets: NO_SECRETS };
  return found({ entry: { path: name, mode: last.mode, oid: last.oid }, made });
}

const NO_SECRETS: ReadonlySet<string> = new Set();

async function assembleMerged(
  deps: LayerDeps,
  meter: Meter,
  { folder, scope }: Device,
  { name, syntax, mode }: { name: string; syntax: Target['syntax']; mode: string },
  parts: readonly Part[],
): Promise<Stage<AssembledFile>> {
  const target = { file: inRepository(folder, name), syntax };
  const merged = await merge({ deps, meter, folder, target, scope }, parts);
  if (merged.value === null) return merged;
  const { result } = merged.value;
  const documents = merged.value.parts.map(({ document }) => document);
  const replaced = replacedParts(documents);
  const origin = {
    parts: parts.slice(replaced),
    documents: documents.slice(replaced),
    templates: merged.value.parts.slice(replaced).map(({ template }) => template),
  };
  const entry = { path: name, mode, oid: deps.objects.keep(bytesOf(result)) };
  return found({ entry, made: { origin, document: result, secrets: secretsOf(merged.value) } });
}

function secretsOf({ parts }: MergedFile): ReadonlySet<string> {
  const secrets = parts.flatMap((part) => part.secrets);
  return secrets.length === 0 ? NO_SECRETS : new Set(secrets);
}

/** How many of the first files the later ones replaced as a whole. */
function replacedParts(documents: readonly Document[]): number {
  const last = documents.findLastIndex((document) => isEncrypted(document));
  return Math.max(last, 0);
}

function bytesOf({ text, hasByteOrderMark }: Document): Uint8Array {
  return Buffer.from(hasByteOrderMark ? `\ufeff${text}` : text);
}

type Merging = { deps: LayerDeps; meter: Meter; folder: Folder; target: Target; scope: TemplateScope };

/** All parts, merged. A merge of shared layers alone is made once for all devices. */
async function merge(merging: Merging, parts: readonly Part[]): Promise<Stage<MergedFile>> {
  const { deps, meter, folder, target, scope } = merging;
  const isShared = parts.every((part) => !part.isTemplate && part.layer.path !== folder.path);
  const key = isShared ? [target.syntax, ...parts.map((part) => part.oid)].join(' ') : null;
  const known = key === null ? undefined : deps.merged.get(key);
  if (known !== undefined) return found(known);
  const last = parts.at(-1);
  if (last === undefined) return refused();
  const below = parts.length === 1 ? null : await merge(merging, parts.slice(0, -1));
  if (below !== null && below.value === null) return below;
  const read = await documentOf(deps, meter, last, target, scope);
  if (read.value === null) return below === null ? read : hidden(read, secretsOf(below.value));
  const merged = { result: read.value.document, parts: [...(below?.value.parts ?? []), read.value] };
  if (below !== null) {
    const result = mergePart(merging, parts, below.value.result, merged.parts);
    if (result.value === null) return hidden(result, secretsOf(merged));
    merged.result = result.value;
  }
  if (key !== null) deps.merged.set(key, merged);
  return found(merged);
}

/** Errors of a file that other templates of the file put secrets into. */
function hidden<T extends Stage<unknown>>(stage: T, secrets: ReadonlySet<string>): T {
  return { ...stage, errors: stage.errors.map((error) => withoutSecrets(error, secrets)) };
}

function mergePart(
  { deps: { limits }, meter, target }: Merging,
  parts: readonly Part[],
  below: Document,
  read: MergedFile['parts'],
): Stage<Document> {
  const documents = read.map(({ document }) => document);
  const patch = documents.at(-1) ?? below;
  const isQuick = below.text.length + patch.text.length <= MAX_QUICK_BYTES;
  try {
    return meter.step({ file: target.file, doing: 'be merged', isQuick }, ({ within }) =>
      within(() => mergeDocuments(below, patch, target.syntax, limits)),
    );
  } catch (error) {
    if (!(error instanceof MergeFault)) throw error;
    return refused(mergeError(error, parts, documents, target));
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
