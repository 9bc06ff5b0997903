import { toPointer, valueAt } from '../../document/document.ts';
import type { FileProvenance, FolderProvenance, RepositoryFile } from '../../revision/revision.ts';
import type { Work } from '../folder-work.ts';
import { inRepository } from '../folder-work.ts';
import type { SelectedFile } from '../manifest/select.ts';
import { valuesOf } from './compose.ts';
import type { Composition, Origin, Part } from './layer.ts';
import { existingPath, leafPaths, mergeAll, originOf } from './merge-patch.ts';
import { placeOf } from './origin.ts';

/** Values and variables that are told in all: one answer holds them. */
const MAX_PLACES = 5_000;

/** Where everything in the bundle came from. */
export function provenanceOf(work: Work, selected: readonly SelectedFile[]): FolderProvenance {
  const { composition, folder } = work;
  const layers = composition?.layers ?? [{ name: 'device', path: folder.path }];
  let left = MAX_PLACES;
  let truncated = false;
  const bounded = <T>(places: () => T[]): T[] => {
    // What is not told is not looked for either.
    const found = left > 0 ? places() : [];
    const told = found.slice(0, left);
    truncated ||= left === 0 || told.length < found.length;
    left -= told.length;
    return told;
  };
  const files = selected.map(({ from, to }): FileProvenance => {
    const file = inRepository(folder, from);
    const origin = work.origins.get(file);
    if (origin === undefined) return { path: to, from: [{ layer: 'device', file, template: false }], values: [], variables: [] };
    const parts = origin.parts.map((part) => ({ ...sourceOf(part), template: part.isTemplate }));
    // Where a template made names of secret variables, they are not told.
    const values = work.templated.get(file)?.has('') ? [] : bounded(() => valuePlaces(origin));
    return { path: to, from: parts, values, variables: bounded(() => (composition === null ? [] : variablePlaces(composition, origin))) };
  });
  const removed = [...(composition?.removed ?? [])].map(([path, part]) => ({ path, ...sourceOf(part) }));
  return { layers: layers.map(({ name, path }) => ({ name, path })), files, removed, truncated };
}

function valuePlaces(origin: Origin): FileProvenance['values'] {
  if (origin.documents === null) return [];
  return leafPaths(mergeAll(valuesOf(origin.documents))).flatMap((path) => {
    const { part, line } = placeOf(origin, path);
    return part === undefined ? [] : [{ pointer: toPointer(path), ...sourceOf(part), ...(line === undefined ? {} : { line }) }];
  });
}

function variablePlaces({ variables, scope }: Composition, origin: Origin): FileProvenance['variables'] {
  const reads = origin.parts.flatMap((part) => scope.used.get(part.oid)?.reads() ?? []);
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
