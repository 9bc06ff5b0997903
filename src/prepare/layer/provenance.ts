import { toPointer, valueAt } from '../../document/document.ts';
import type { FileProvenance, FolderProvenance, RepositoryFile } from '../../revision/revision.ts';
import type { Folder } from '../folders.ts';
import { inRepository } from '../folders.ts';
import type { SelectedFile } from '../manifest/select.ts';
import type { Layered, Origin, Part, Variables } from './layer.ts';
import { existingPath, leafPaths, mergeAll, originOf } from './merge-patch.ts';
import { placeOf, valuesOf } from './origin.ts';

/** Values and variables in all, so that one answer holds them. */
const MAX_PLACES = 5_000;

/** The origin of every file and value in the bundle. */
export function provenanceOf(folder: Folder, layered: Layered, selected: readonly SelectedFile[]): FolderProvenance {
  const { layers, composed, variables } = layered;
  let left = MAX_PLACES;
  let truncated = false;
  const bounded = <T>(places: () => T[]): T[] => {
    // Places that do not fit are not computed.
    const all = left > 0 ? places() : [];
    const kept = all.slice(0, left);
    truncated ||= left === 0 || kept.length < all.length;
    left -= kept.length;
    return kept;
  };
  const files = selected.map(({ from, to }): FileProvenance => {
    const file = inRepository(folder, from);
    const made = composed.get(file);
    if (made === undefined) return { path: to, from: [{ layer: 'device', file, template: false }], values: [], variables: [] };
    const { origin, secrets } = made;
    const parts = origin.parts.map((part) => ({ ...sourceOf(part), template: part.isTemplate }));
    // Names that a template made of secret variables are left out.
    const values = secrets.has('') ? [] : bounded(() => valuePlaces(origin));
    return { path: to, from: parts, values, variables: bounded(() => (variables === null ? [] : variablePlaces(variables, origin))) };
  });
  const removed = [...layered.removed].map(([path, part]) => ({ path, ...sourceOf(part) }));
  return { layers: layers.map(({ name, path }) => ({ name, path })), files, removed, truncated };
}

function valuePlaces(origin: Origin): FileProvenance['values'] {
  if (origin.documents === null) return [];
  return leafPaths(mergeAll(valuesOf(origin.documents))).flatMap((path) => {
    const { part, line } = placeOf(origin, path);
    return part === undefined ? [] : [{ pointer: toPointer(path), ...sourceOf(part), ...(line === undefined ? {} : { line }) }];
  });
}

function variablePlaces(variables: Variables, origin: Origin): FileProvenance['variables'] {
  const reads = origin.templates.flatMap((template) => template?.reads() ?? []);
  const leaves = reads
    .map((path) => existingPath(variables.value, path))
    .filter((path) => path.length > 0)
    .flatMap((path) => leafPaths(valueAt(variables.value, path), path));
  const byName = new Map(leaves.map((path) => [toPointer(path), path]));
  const documents = variables.documents.map((document) => document.value ?? {});
  return [...byName].flatMap(([name, path]) => {
    const index = originOf(documents, path);
    const part = variables.parts[index];
    return part === undefined ? [] : [{ name, ...sourceOf(part), line: variables.documents[index]?.lineOf(path) ?? 1 }];
  });
}

function sourceOf({ layer, file }: Part): RepositoryFile {
  return { layer: layer.name, file };
}
