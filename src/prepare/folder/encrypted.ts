import { isRecord } from '../../document/document.ts';
import { isCipherText, isEncrypted } from '../../document/merge/sops.ts';
import { Unjudged } from '../schema/check/visit.ts';

/**
 * The value that schemas check. In a file that SOPS encrypted, schemas skip SOPS's metadata. No rule applies to a cipher text, since it has another
 * type and length than its value.
 */
export function judgedValue(value: unknown): unknown {
  if (!isRecord(value) || !isEncrypted({ value })) return value;
  const { sops: _metadata, ...rest } = value;
  return withoutCipherText(rest);
}

function withoutCipherText(value: unknown): unknown {
  if (isCipherText(value)) return new Unjudged(value);
  if (Array.isArray(value)) return value.map(withoutCipherText);
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withoutCipherText(member)]));
}
