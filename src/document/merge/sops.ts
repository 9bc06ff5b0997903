import type { Document } from '../document.ts';
import { isRecord } from '../document.ts';

/** Encrypted by SOPS (https://getsops.io): its metadata stand under the key `sops`, with a checksum of all values. */
export function isEncrypted({ value }: Pick<Document, 'value'>): boolean {
  if (!isRecord(value) || !isRecord(value.sops)) return false;
  return Object.hasOwn(value.sops, 'mac') || Object.hasOwn(value.sops, 'version');
}

/** A value in the place of which SOPS put its cipher text. */
export function isCipherText(value: unknown): value is string {
  return typeof value === 'string' && /^ENC\[[A-Z0-9_]+,data:/.test(value);
}
