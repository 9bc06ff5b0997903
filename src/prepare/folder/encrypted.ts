import { isRecord } from '../../document/document.ts';
import { isCipherText, isEncrypted } from '../../document/merge/sops.ts';
import { Unjudged } from '../schema/check/visit.ts';

/**
 * What a schema judges of a file. Of one that SOPS encrypted: all but SOPS's own metadata. Type and length of a cipher text are not those of the value, so
 * that no rule applies to it.
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
