import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

/** Whom a token speaks for, with the prefix by which people and secret scanners recognise it. */
const PREFIXES = { token: 'bwt_', device: 'bwd_', enrolment: 'bwe_', root: 'bwr_' } as const;
export type TokenKind = keyof typeof PREFIXES;

/** 256 random bits in base64url behind the kind's prefix. Shown once; only `hashToken` of it is stored. */
export function mintToken(kind: TokenKind): string {
  return PREFIXES[kind] + randomBytes(32).toString('base64url');
}

/** What a presented string claims to be, by its prefix; null when it has none of ours. */
export function tokenKind(token: string): TokenKind | null {
  if (token.startsWith(PREFIXES.token)) return 'token';
  if (token.startsWith(PREFIXES.device)) return 'device';
  if (token.startsWith(PREFIXES.root)) return 'root';
  return token.startsWith(PREFIXES.enrolment) ? 'enrolment' : null;
}

/** SHA-256, 32 bytes. A slow hash would add nothing: there are 256 random bits to guess. */
export function hashToken(token: string | Uint8Array): Buffer {
  return hash('sha256', token, 'buffer');
}

/** Constant time. False, too, for a stored hash that has not 32 bytes. */
export function tokenMatches(token: string, storedHash: Uint8Array): boolean {
  const presented = hashToken(token);
  return storedHash.byteLength === presented.byteLength && timingSafeEqual(presented, storedHash);
}

/** The part that lists and logs may show. Empty for strings so short that four characters would give much of them away. */
export function last4(secret: string): string {
  return secret.length < 16 ? '' : secret.slice(-4);
}

/** Compares without telling by its duration where, or in length, the two differ. */
export function equalInConstantTime(a: string | Uint8Array, b: string | Uint8Array): boolean {
  return timingSafeEqual(hashToken(a), hashToken(b));
}
