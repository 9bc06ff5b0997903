import type { DocumentFault } from '../document/document.ts';
import { toPointer } from '../document/document.ts';
import type { ConfigErrorCode } from '../wire/errors.ts';
import type { ConfigError } from './revision.ts';

export type ConfigFault = {
  code: ConfigErrorCode;
  file: string;
  line?: number | undefined;
  pointer?: string;
  rule: string;
  limit?: unknown;
  actual?: unknown;
  /** See `ConfigError`. */
  rendered?: string | undefined;
  /** End of a sentence whose subject is the place: `is 5000, must be <= 4094`. */
  detail: string;
};

/** A ConfigError whose message begins with its place. Control characters of names from a repository do not get into it. */
export function configError(fault: ConfigFault): ConfigError {
  return composed(fault);
}

/** Also of an error that is stored, whose code an earlier version may have named. */
function composed(fault: Omit<ConfigFault, 'code'> & { code: string }): ConfigError {
  const { code, file, line, rule, limit, actual, rendered } = fault;
  const pointer = fault.pointer ?? '';
  const detail = rendered === undefined ? fault.detail : `${fault.detail} (in ${rendered})`;
  return {
    code,
    file,
    ...(line === undefined ? {} : { line }),
    pointer,
    rule,
    ...(limit === undefined ? {} : { limit }),
    ...(actual === undefined ? {} : { actual }),
    ...(rendered === undefined ? {} : { rendered }),
    message: oneLine(`${placeOf({ file, line, pointer })} ${detail}`),
  };
}

/** The error's message without its place. */
export function detailOf(error: ConfigError): string {
  const place = oneLine(`${placeOf(error)} `);
  return error.message.startsWith(place) ? error.message.slice(place.length) : error.message;
}

/** An error of a file that stands nowhere in the repository, at the place where its author can fix it. */
export function relocated(error: ConfigError, place: { file: string; line?: number | undefined }): ConfigError {
  const rendered = error.line === undefined || place.line !== undefined ? error.file : `${error.file}:${error.line}`;
  return composed({ ...error, ...place, line: place.line, rendered, detail: detailOf(error) });
}

/** The error without the value that it is about. */
export function withoutValue(error: ConfigError): ConfigError {
  const { code, file, line, pointer, rule, rendered } = error;
  return composed({ code, file, line, pointer, rule, rendered, detail: `is a secret value that breaks the rule "${rule}"` });
}

/** The error without the place of its value, whose names may be secret themselves. */
export function withoutPointer(error: ConfigError): ConfigError {
  const { rendered } = error;
  return {
    ...composed({ ...error, pointer: '', rendered: undefined, detail: detailOf(error) }),
    ...(rendered === undefined ? {} : { rendered }),
  };
}

function placeOf({ file, line, pointer }: Pick<ConfigFault, 'file' | 'line' | 'pointer'>): string {
  const parts = [line === undefined ? file : `${file}:${line}`, pointer].filter((part) => part !== '');
  return parts.length > 0 ? parts.join(' ') : 'the folder';
}

export function documentError(file: string, fault: DocumentFault): ConfigError {
  const { code, rule, detail, line } = fault;
  return configError({ code, file, line, pointer: toPointer(fault.path), rule, detail });
}

/**
 * The first `max` errors; what was left out is counted in one more.
 * @param found how many there are, when `errors` is itself only a part of them
 */
export function capErrors(errors: ConfigError[], max: number, file: string, found = errors.length): ConfigError[] {
  if (errors.length <= max) return errors;
  const more = found - max;
  const detail = `has ${more} more ${more === 1 ? 'error' : 'errors'}; only the first ${max} are shown`;
  return [...errors.slice(0, max), configError({ code: 'more_errors', file, rule: 'maxErrors', limit: max, actual: found, detail })];
}

/**
 * @param doing what took too long, after "to": `be validated`
 * @param others that left no more of the commit's time
 */
export function validationTimeout(file: string, limitMs: number, doing: string, others: readonly string[] = []): ConfigError {
  const cause = others.length === 0 ? '' : ` (${listed(others)} took the rest of the commit's time)`;
  const advice = 'look for patterns that can match in many ways, and for references that multiply';
  const detail = `takes longer than ${limitMs} ms to ${doing}${cause}: ${advice}`;
  return configError({ code: 'validation_timeout', file, rule: 'maxValidationMs', limit: limitMs, detail });
}

/** @param doing see `validationTimeout` */
export function commitTimeUsed(file: string, doing: string, others: readonly string[]): ConfigError {
  const by = others.length === 0 ? '' : ` by ${listed(others)}`;
  const detail = `cannot ${doing}: the commit's time for validation was used up${by}`;
  return configError({ code: 'validation_timeout', file, rule: 'maxCommitValidationMs', detail });
}

const MAX_LISTED = 3;

function listed(paths: readonly string[]): string {
  const more = paths.length - MAX_LISTED;
  const first = paths.slice(0, MAX_LISTED).map((path) => (path === '' ? 'the repository' : path));
  return more > 0 ? `${first.join(', ')} and ${more} more` : first.join(', ');
}

function oneLine(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}
