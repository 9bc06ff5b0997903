import { isRecord, valueAt } from '../../document/document.ts';

/** JSON Merge Patch (RFC 7386), and which of several merged documents a value came from. */

/** `target` as `patch` changes it; neither is changed itself. Names such as `__proto__` are names like any other. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const members = new Map(isRecord(target) ? Object.entries(target) : []);
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) members.delete(name);
    else members.set(name, mergePatch(members.get(name), value));
  }
  return Object.fromEntries(members);
}

/** The first document, changed by each of the others in their order. */
export function mergeAll(documents: readonly unknown[]): unknown {
  return documents.slice(1).reduce((merged, patch) => mergePatch(merged, patch), documents[0]);
}

/**
 * Which of `documents` the value at `path` of `mergeAll(documents)` came from; for an object, the last that has something at the path. For a path
 * that the merged document has not, the one that its nearest ancestor came from.
 */
export function originOf(documents: readonly unknown[], path: readonly string[]): number {
  for (let length = path.length; length > 0; length -= 1) {
    const index = giverOf(documents, path.slice(0, length));
    if (index !== null) return index;
  }
  return documents.length - 1;
}

/** The path, cut to what is there: what follows is asked of the value itself, as `users.size` is. */
export function existingPath(value: unknown, path: readonly string[]): readonly string[] {
  let length = path.length;
  while (length > 0 && valueAt(value, path.slice(0, length)) === undefined) length -= 1;
  return path.slice(0, length);
}

/** Paths of everything that is not an object or list with something in it. */
export function leafPaths(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  const members = Array.isArray(value) ? [...value.entries()] : isRecord(value) ? Object.entries(value) : [];
  if (members.length === 0) return [path];
  return members.flatMap(([name, inner]) => leafPaths(inner, [...path, String(name)]));
}

/** null: the merged document has nothing at the path. */
function giverOf(documents: readonly unknown[], path: readonly string[]): number | null {
  for (let index = documents.length - 1; index >= 0; index -= 1) {
    const says = whatItSays(documents[index], path, index > 0);
    if (says !== 'nothing') return says === 'something' ? index : null;
  }
  return null;
}

/** `other`: it puts something in the place of an ancestor, or takes the member away, so that no earlier document counts. */
function whatItSays(document: unknown, path: readonly string[], isPatch: boolean): 'something' | 'other' | 'nothing' {
  let inner = document;
  for (const name of path) {
    if (inner === null || typeof inner !== 'object') return 'other';
    if (!Object.hasOwn(inner, name)) return Array.isArray(inner) ? 'other' : 'nothing';
    inner = Reflect.get(inner, name);
  }
  return inner === null && isPatch ? 'other' : 'something';
}
