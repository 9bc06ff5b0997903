import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

/** Kinds of tokens, with the prefix by which people and secret scanners recognise them. */
const PREFIXES = { token: 'bwt_', device: 'bwd_', enrolment: 'bwe_', root: 'bwr_', session: 'bws_', link: 'bwl_' } as const;
export type TokenKind = keyof typeof PREFIXES;
const KINDS: readonly TokenKind[] = ['token', 'device', 'enrolment', 'root', 'session', 'link'];

/** Makes a token: the kind's prefix and 256 random bits in base64url. The service shows it once and stores only its `hashToken`. */
export function mintToken(kind: TokenKind): string {
  return PREFIXES[kind] + randomBytes(32).toString('base64url');
}

/** Reads the kind from a presented string's prefix; null when it has no known prefix. */
export function tokenKind(token: string): TokenKind | null {
  return KINDS.find((kind) => token.startsWith(PREFIXES[kind])) ?? null;
}

/** SHA-256, 32 bytes. A slow hash would add nothing, since an attacker would have to guess 256 random bits. */
export function hashToken(token: string | Uint8Array): Buffer {
  return hash('sha256', token, 'buffer');
}

/** Compares in constant time. It also returns false for a stored hash whose length is not 32 bytes. */
export function tokenMatches(token: string, storedHash: Uint8Array): boolean {
  const presented = hashToken(token);
  return storedHash.byteLength === presented.byteLength && timingSafeEqual(presented, storedHash);
}

/** Part that lists and logs may show. It is empty for strings shorter than 16 characters, of which four would reveal too much. */
export function last4(secret: string): string {
  return secret.length < 16 ? '' : secret.slice(-4);
}

/** Compares in a time that reveals neither where the two differ nor whether their lengths do. */
export function equalInConstantTime(a: string | Uint8Array, b: string | Uint8Array): boolean {
  return timingSafeEqual(hashToken(a), hashToken(b));
}
