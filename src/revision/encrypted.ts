import type { ErrorObject } from 'ajv';
import { fromPointer, isRecord, valueAt } from './document/document.ts';
import { isCipherText, isEncrypted } from './merge/sops.ts';

/** What a schema is to judge of a file: of one that SOPS encrypted, all but SOPS's own metadata. */
export function judgedValue(value: unknown): unknown {
  if (!isRecord(value) || !isEncrypted({ value })) return value;
  const { sops: _metadata, ...rest } = value;
  return rest;
}

/** Errors without those about cipher text, whose type and length are not those of the value, nor those of alternatives that failed by it alone. */
export function withoutCipherText(errors: readonly ErrorObject[], value: unknown): ErrorObject[] {
  if (!isEncrypted({ value })) return [...errors];
  const isDropped = (error: ErrorObject) => isCipherText(valueAt(value, fromPointer(error.instancePath)));
  const dropped = errors.filter(isDropped);
  const failedByThem = (error: ErrorObject) => ALTERNATIVES.has(error.keyword) && dropped.some((cause) => isBelow(cause, error));
  return errors.filter((error) => !isDropped(error) && !failedByThem(error));
}

const ALTERNATIVES = new Set(['anyOf', 'oneOf', 'if', 'contains']);

function isBelow(cause: ErrorObject, error: ErrorObject): boolean {
  const isInside = error.instancePath === '' || cause.instancePath.startsWith(`${error.instancePath}/`);
  return isInside && cause.schemaPath.startsWith(error.schemaPath.slice(0, error.schemaPath.lastIndexOf('/')));
}
