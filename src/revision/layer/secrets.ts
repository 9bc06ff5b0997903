import { withoutValue } from '../config-error.ts';
import { decodeText, syntaxOf, toPointer, valueAt } from '../document/document.ts';
import { parseDocument } from '../document/parse.ts';
import type { Work } from '../folder-work.ts';
import { inRepository, readFile } from '../folder-work.ts';
import type { SelectedFile } from '../manifest/select.ts';
import { isBelow, isSecretPath, looksSecret } from '../secret.ts';
import type { Composition, Origin, Variables } from './layer.ts';
import { existingPath, leafPaths } from './merge-patch.ts';

/**
 * A template may put a variable that is secret by its name where no name gives it away. Such places join the file's secrets, and errors do not tell
 * what stands there. Where a template made something else of the value, or the file is neither JSON nor YAML, the whole file is secret.
 */
export async function hideSecretVariables(work: Work, composition: Composition, selected: readonly SelectedFile[]): Promise<void> {
  if (secretLeaves(composition.variables).length === 0) return;
  for (const { path, oid } of composition.files) {
    const file = inRepository(work.folder, path);
    const secrets = secretsRead(composition, work.origins.get(file));
    if (secrets.length === 0) continue;
    const stored = await readFile(work, oid, file, work.context.limits.maxFileBytes, 'maxFileBytes');
    const pointers = stored === null ? [''] : placesOf(work, file, stored.bytes, secrets);
    for (const { from, to } of selected) {
      if (from === path) work.secrets.set(to, [...new Set([...(work.secrets.get(to) ?? []), ...pointers])].sort());
    }
    const hidden = new Set(pointers);
    work.errors.splice(
      0,
      work.errors.length,
      ...work.errors.map((error) => (error.file === file && isBelow(error.pointer, hidden) ? withoutValue(error) : error)),
    );
  }
}

/** The values of the secret variables that the templates of a file read. */
function secretsRead({ variables, scope }: Composition, origin: Origin | undefined): Secret[] {
  const reads = (origin?.parts ?? []).flatMap((part) => scope.used.get(part.oid)?.reads() ?? []);
  const places = reads.map((path) => existingPath(variables.value, path)).filter((path) => path.length > 0);
  return places.flatMap((path) => secretLeaves(variables, path));
}

/** The texts in which one secret may stand in a file: a number as it is written and as it is read. */
type Secret = readonly string[];

function secretLeaves({ value: variables, written }: Variables, below: readonly string[] = []): Secret[] {
  return leafPaths(valueAt(variables, below), below).flatMap((path) => {
    const value = valueAt(variables, path);
    const tells = (typeof value === 'string' && value !== '') || typeof value === 'number';
    return tells && (isSecretPath(path) || looksSecret(value)) ? [[String(value), String(valueAt(written, path))]] : [];
  });
}

/** A shorter value is not looked for inside of others: it would be found in ordinary words. */
const MIN_PART_CHARS = 4;

function placesOf({ context: { limits } }: Work, file: string, bytes: Uint8Array, secrets: readonly Secret[]): string[] {
  const syntax = syntaxOf(file);
  if (syntax === null || bytes.length > limits.maxDocumentBytes || decodeText(bytes) === null) return [''];
  const parsed = parseDocument(bytes, syntax, limits);
  if (!parsed.ok) return [''];
  const scalars = parsed.document.spans().filter((span) => span.kind === 'scalar');
  const holds = (value: unknown, secret: Secret) =>
    secret.some((text) => String(value) === text || (text.length >= MIN_PART_CHARS && String(value).includes(text)));
  const places = scalars.filter((span) => secrets.some((secret) => holds(span.value, secret)));
  const isEachFound = secrets.every((secret) => places.some((span) => holds(span.value, secret)));
  return isEachFound ? places.map((span) => toPointer(span.path)) : [''];
}
