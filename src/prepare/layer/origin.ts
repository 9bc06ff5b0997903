import { fromPointer } from '../../document/document.ts';
import { relocated } from '../../revision/config-error.ts';
import type { ConfigError } from '../../revision/revision.ts';
import { valuesOf } from './compose.ts';
import type { Origin, Part } from './layer.ts';
import { originOf } from './merge-patch.ts';

/** An error of a file that layers or a template made, at the file of the repository that the value in question came from. */
export function atOrigin(error: ConfigError, origins: ReadonlyMap<string, Origin>): ConfigError {
  const origin = origins.get(error.file);
  if (origin === undefined || error.rendered !== undefined) return error;
  const path = fromPointer(error.pointer);
  const { part, line } = placeOf(origin, path, error.line);
  return part === undefined ? error : relocated(error, { file: part.file, line: error.line === undefined ? undefined : line });
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
