import type { Document } from '../document.ts';
import { isRecord } from '../document.ts';

/** Detects encryption by SOPS (https://getsops.io): its metadata, with a checksum of all values, are under the key `sops`. */
export function isEncrypted({ value }: Pick<Document, 'value'>): boolean {
  if (!isRecord(value) || !isRecord(value.sops)) return false;
  return Object.hasOwn(value.sops, 'mac') || Object.hasOwn(value.sops, 'version');
}

/** Detects a value that SOPS replaced by its cipher text. */
export function isCipherText(value: unknown): value is string {
  return typeof value === 'string' && /^ENC\[[A-Z0-9_]+,data:/.test(value);
}
