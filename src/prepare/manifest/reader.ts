import type { z } from 'zod';
import type { Document } from '../../document/document.ts';
import { syntaxOf, toPointer, valueAt } from '../../document/document.ts';
import { parseDocument } from '../../document/parse.ts';
import { configError, documentError } from '../../revision/config-error.ts';
import type { RevisionLimits } from '../../revision/limits.ts';
import type { ConfigError, WrittenRollout } from '../../revision/revision.ts';
import { isSecretValue } from '../../revision/secret/secret.ts';
import { holdsSecret } from '../../revision/secret/text.ts';

export type ReadManifest<T> = { ok: true; manifest: T; document: Document } | { ok: false; errors: ConfigError[] };

/** A manifest from its file, or every error in it with its line. */
export function readManifest<T>(schema: z.ZodType<T>, bytes: Uint8Array, file: string, limits: RevisionLimits): ReadManifest<T> {
  if (bytes.length > limits.maxDocumentBytes) return { ok: false, errors: [tooLarge(file, bytes.length, limits.maxDocumentBytes)] };
  const parsed = parseDocument(bytes, syntaxOf(file) ?? 'yaml', limits);
  if (!parsed.ok) return { ok: false, errors: [documentError(file, parsed.fault)] };
  const { document } = parsed;
  if (document.parts > 1) {
    const detail = `has ${document.parts} YAML documents, must have one`;
    return { ok: false, errors: [configError({ code: 'manifest', file, line: 1, rule: 'documents', detail })] };
  }
  const result = schema.safeParse(document.value);
  if (result.success) return { ok: true, manifest: result.data, document };
  const issues = result.error.issues.flatMap((issue) => concrete(issue));
  return { ok: false, errors: issues.map((issue) => issueError(issue, file, document)) };
}

/** `rollout` of a manifest that was read, as it is written there, without defaults, and where; null when there is none. */
export function writtenRollout({ value, lineOf }: Document, file: string): WrittenRollout | null {
  const policy = valueAt(value, ['rollout']) ?? null;
  if (policy === null) return null;
  const waves = valueAt(policy, ['waves']);
  const lines = (Array.isArray(waves) ? waves : []).map((wave: unknown, index) => {
    const at = ['rollout', 'waves', String(index)];
    const devices = valueAt(wave, ['devices']);
    const ids = (Array.isArray(devices) ? devices : []).map((_, position) => lineOf([...at, 'devices', String(position)]));
    return { line: lineOf(at), devices: ids };
  });
  return { policy, place: { file, waves: lines } };
}

export function tooLarge(file: string, actual: number, limit: number): ConfigError {
  return configError({ code: 'too_large', file, rule: 'maxBytes', limit, actual, detail: `has ${actual} bytes, must be <= ${limit}` });
}

/** One issue per thing to fix: each unknown key by itself, and the nearest of several alternatives. */
function concrete(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => ({ ...issue, keys: [key], path: [...issue.path, key] }));
  if (issue.code !== 'invalid_union') return [issue];
  const nearest = issue.errors.find((branch) => branch.every((inner) => inner.code !== 'invalid_type' || inner.path.length > 0));
  if (nearest === undefined) return [issue];
  return nearest.flatMap((inner) => concrete({ ...inner, path: [...issue.path, ...inner.path] }));
}

function issueError(issue: z.core.$ZodIssue, file: string, document: Document): ConfigError {
  const path = issue.path.map(String);
  if (issue.code === 'invalid_key') return keyError(issue, file, document);
  const actual = valueAt(document.value, path);
  const line = document.lineOf(path);
  return configError({
    code: 'manifest',
    file,
    line,
    pointer: toPointer(path),
    rule: issue.code,
    ...shownIssue(issue, actual, path),
  });
}

/** An error about a name in an object. The path ends with that name. */
function keyError(issue: z.core.$ZodIssueInvalidKey, file: string, document: Document): ConfigError {
  const path = issue.path.map(String);
  const detail = `has the name ${JSON.stringify(path.at(-1) ?? '')}, which ${issue.issues[0]?.message ?? 'is not allowed'}`;
  return configError({ code: 'manifest', file, line: document.lineOf(path), pointer: toPointer(path), rule: issue.code, detail });
}

/** The value of an unknown member may be a secret, so it is not shown. */
function shownIssue(issue: z.core.$ZodIssue, actual: unknown, path: readonly string[]): { detail: string; actual?: unknown } {
  if (issue.code === 'unrecognized_keys') return { detail: 'is not known here' };
  const isSecret = isSecretValue(path, actual) || holdsSecret(actual);
  return { detail: detailOf(issue, actual, isSecret), ...(isScalar(actual) && !isSecret ? { actual } : {}) };
}

function detailOf(issue: z.core.$ZodIssue, actual: unknown, isSecret: boolean): string {
  if (actual === undefined) return 'is missing';
  const is = isSecret
    ? 'is a secret value'
    : isScalar(actual)
      ? `is ${JSON.stringify(actual)}`
      : `is ${Array.isArray(actual) ? 'a list' : 'an object'}`;
  switch (issue.code) {
    case 'invalid_type':
      return `${is}, must be ${issue.expected}`;
    case 'invalid_value':
      return `${is}, must be ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`;
    case 'too_big':
      return `${is}, must be <= ${issue.maximum} ${issue.origin === 'string' ? 'characters' : issue.origin === 'array' ? 'items' : ''}`.trimEnd();
    case 'too_small':
      return `${is}, must be >= ${issue.minimum} ${issue.origin === 'string' ? 'characters' : issue.origin === 'array' ? 'items' : ''}`.trimEnd();
    case 'invalid_format':
      return `${is}, ${issue.message}`;
    case 'custom':
      return `${is}, ${issue.message}`;
    default:
      return `${is}, which has another form than it must have`;
  }
}

function isScalar(value: unknown): boolean {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}
