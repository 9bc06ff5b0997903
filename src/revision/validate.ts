import { capErrors, configError, documentError } from './config-error.ts';
import { syntaxOf } from './document/document.ts';
import { parseDocument } from './document/parse.ts';
import type { RevisionLimits } from './limits.ts';
import { tooLarge } from './manifest/reader.ts';
import type { ConfigError } from './revision.ts';
import type { CompiledSchema } from './schema/compile.ts';
import { schemaError } from './schema/error.ts';

export type FileVerdict = {
  /** In the order of lines, at most `maxErrorsPerFile` and one that counts the rest. */
  errors: ConfigError[];
  /** JSON pointers of values that must not be shown. */
  secrets: string[];
};

/** How many of the engine's errors are put into words before they are sorted and cut: a hostile file has as many as it has values. */
const MAX_WORDED_ERRORS = 1_000;

/** A JSON or YAML file against its schemas. With none, only its syntax is checked, and YAML may then hold several documents. */
export function validateFile(bytes: Uint8Array, file: string, schemas: readonly CompiledSchema[], limits: RevisionLimits): FileVerdict {
  if (bytes.length > limits.maxDocumentBytes) return refused(tooLarge(file, bytes.length, limits.maxDocumentBytes));
  const syntax = syntaxOf(file);
  if (syntax === null) {
    return refused(configError({ code: 'syntax', file, rule: 'extension', detail: 'has a schema, must be named *.json, *.yaml or *.yml' }));
  }
  const parsed = parseDocument(bytes, syntax, limits);
  if (!parsed.ok) return refused(documentError(file, parsed.fault));
  if (schemas.length === 0) return { errors: [], secrets: [] };
  const { document } = parsed;
  if (document.parts > 1) {
    return refused(
      configError({ code: 'syntax', file, line: 1, rule: 'documents', detail: `has ${document.parts} YAML documents, must have one` }),
    );
  }
  const verdicts = schemas.map((schema) => schema(document.value));
  const secrets = new Set(verdicts.flatMap((verdict) => [...verdict.secrets]));
  const found = verdicts.flatMap((verdict) => verdict.errors);
  const errors = found.slice(0, MAX_WORDED_ERRORS).map((error) => schemaError(error, file, document, secrets));
  const told = inOrder(errors.filter((error) => error !== null));
  const total = found.length > MAX_WORDED_ERRORS ? found.length : told.length;
  return { errors: capErrors(told, limits.maxErrorsPerFile, file, total), secrets: [...secrets].sort() };
}

function refused(error: ConfigError): FileVerdict {
  return { errors: [error], secrets: [] };
}

/** By line, each message once: alternatives of a schema often fail in the same way. */
function inOrder(errors: ConfigError[]): ConfigError[] {
  const distinct = [...new Map(errors.map((error) => [error.message, error])).values()];
  return distinct.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
}
