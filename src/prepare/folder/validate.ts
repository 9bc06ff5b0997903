import type { Document } from '../../document/document.ts';
import { syntaxOf } from '../../document/document.ts';
import { exactValue } from '../../document/exact.ts';
import { parseDocument } from '../../document/parse.ts';
import { messageOf } from '../../errors.ts';
import { capErrors, configError, documentError } from '../../revision/config-error.ts';
import type { RevisionLimits } from '../../revision/limits.ts';
import type { ConfigError } from '../../revision/revision.ts';
import { tooLarge } from '../manifest/reader.ts';
import { MAX_QUICK_BYTES } from '../meter/cpu-limit.ts';
import type { CompiledSchema, SchemaVerdict } from '../schema/compile.ts';
import { schemaError } from '../schema/error.ts';
import { judgedValue } from './encrypted.ts';

export type FileVerdict = {
  /** In the order of lines, at most `maxErrorsPerFile` and one that counts the rest. */
  errors: ConfigError[];
  /** JSON pointers of values that must not be shown. */
  secrets: string[];
};

/** Number of faults that become sentences before sorting and capping. A hostile file has as many faults as values. */
const MAX_WORDED_ERRORS = 1_000;

/**
 * A JSON or YAML file against its schemas. With none, only its syntax is checked, and YAML may then hold several documents.
 * @param known the file as a document, where it was parsed before
 */
export function validateFile(
  bytes: Uint8Array,
  file: string,
  schemas: readonly CompiledSchema[],
  limits: RevisionLimits,
  known?: Document,
): FileVerdict {
  if (bytes.length > limits.maxDocumentBytes) return refused(tooLarge(file, bytes.length, limits.maxDocumentBytes));
  const syntax = syntaxOf(file);
  if (syntax === null) {
    return refused(configError({ code: 'syntax', file, rule: 'extension', detail: 'has a schema, must be named *.json, *.yaml or *.yml' }));
  }
  const parsed = known === undefined ? parseDocument(bytes, syntax, limits) : { ok: true as const, document: known };
  if (!parsed.ok) return refused(documentError(file, parsed.fault));
  if (schemas.length === 0) return { errors: [], secrets: [] };
  const { document } = parsed;
  if (document.parts > 1) {
    return refused(
      configError({ code: 'syntax', file, line: 1, rule: 'documents', detail: `has ${document.parts} YAML documents, must have one` }),
    );
  }
  const verdicts = verdictsOf(schemas, judgedValue(exactValue(document)));
  if (typeof verdicts === 'string') {
    return refused(
      configError({ code: 'schema_invalid', file, rule: 'evaluate', detail: `cannot be checked against its schema: ${verdicts}` }),
    );
  }
  const secrets = new Set(verdicts.flatMap(({ secrets }) => [...secrets]));
  const found = verdicts.flatMap(({ faults }) => faults);
  const worded = inOrder(found.slice(0, MAX_WORDED_ERRORS).map((fault) => schemaError(fault, file, document, secrets)));
  const total = found.length > MAX_WORDED_ERRORS ? found.length : worded.length;
  return { errors: capErrors(worded, limits.maxErrorsPerFile, file, total), secrets: [...secrets].sort() };
}

/** Whether it needs no clock. */
export function isQuick(bytes: Uint8Array, schemas: readonly CompiledSchema[]): boolean {
  return bytes.length <= MAX_QUICK_BYTES && !schemas.some((schema) => schema.mayBeSlow);
}

/** Or why there are none: a schema that refers to itself meets the end of the stack, a pattern may be too large for the engine. */
function verdictsOf(schemas: readonly CompiledSchema[], value: unknown): SchemaVerdict[] | string {
  try {
    return schemas.map((schema) => schema.check(value));
  } catch (error) {
    if (error instanceof RangeError) return 'it refers to itself without end';
    return messageOf(error);
  }
}

function refused(error: ConfigError): FileVerdict {
  return { errors: [error], secrets: [] };
}

/** By line, each message once: alternatives of a schema often fail in the same way. */
function inOrder(errors: ConfigError[]): ConfigError[] {
  const distinct = [...new Map(errors.map((error) => [error.message, error])).values()];
  return distinct.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
}
