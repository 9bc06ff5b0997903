import type { Document } from '../../document/document.ts';
import { fromPointer } from '../../document/document.ts';
import { relocated } from '../../revision/config-error.ts';
import type { ConfigError } from '../../revision/revision.ts';
import type { ComposedFiles, Origin, Part } from './layer.ts';
import { originOf } from './merge-patch.ts';

/** An error of a file that layers or a template made, at the file of the repository that the value in question came from. */
export function atOrigin(error: ConfigError, composed: ComposedFiles): ConfigError {
  const origin = composed.get(error.file)?.origin;
  if (origin === undefined || error.rendered !== undefined) return error;
  const path = fromPointer(error.pointer);
  const { part, line } = placeOf(origin, path, error.line);
  return part === undefined ? error : relocated(error, { file: part.file, line: error.line === undefined ? undefined : line });
}

/** The values of documents that are merged, in their order. An empty document changes nothing. */
export function valuesOf(documents: readonly Document[]): unknown[] {
  const [first, ...patches] = documents.map((document) => document.value);
  return [first ?? {}, ...patches.map((patch) => patch ?? {})];
}

/** Which part the value at `path` came from. `line`: of the value in the file itself, where that is known. */
export function placeOf(
  { parts, documents }: Origin,
  path: readonly string[],
  line?: number,
): { part: Part | undefined; line: number | undefined } {
  if (documents === null) return { part: parts[0], line: parts[0]?.isTemplate ? undefined : line };
  const index = originOf(valuesOf(documents), path);
  const part = parts[index];
  return { part, line: part?.isTemplate ? undefined : documents[index]?.lineOf(path) };
}
