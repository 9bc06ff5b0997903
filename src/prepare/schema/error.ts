import type { Document } from '../../document/document.ts';
import { toPointer } from '../../document/document.ts';
import { configError } from '../../revision/config-error.ts';
import type { ConfigError } from '../../revision/revision.ts';
import { isBelow, isSecretPath, isSecretValue, looksSecret, REDACTED } from '../../revision/secret/secret.ts';
import { holdsSecret } from '../../revision/secret/text.ts';
import type { SchemaFault } from './check/visit.ts';
import { wordingOf } from './wording.ts';

/** A fault in words for the author of the file, without the values that must not be shown. */
export function schemaError(fault: SchemaFault, file: string, document: Document, secrets: ReadonlySet<string>): ConfigError {
  const { keyword, member } = fault;
  const path = member === undefined ? fault.path : [...fault.path, member];
  const pointer = toPointer(path);
  const shown = toPointer(path.map((name) => (looksSecret(name) ? REDACTED : name)));
  const isSecret =
    fault.isSecret || isBelow(pointer, secrets) || isSecretPath(path) || isSecretValue(path, fault.value) || holdsSecret(fault.value);
  const { detail, actual, limit } = wordingOf(fault, isSecret);
  return configError({ code: 'schema', file, line: document.lineOf(path), pointer: shown, rule: keyword, limit, actual, detail });
}
