import { expect, test } from 'vitest';
import { equalInConstantTime, hashToken, last4, mintToken, tokenKind, tokenMatches } from '../src/crypto/tokens.ts';

test.each([
  ['token', 'bwt_'],
  ['session', 'bws_'],
  ['link', 'bwl_'],
  ['device', 'bwd_'],
  ['enrolment', 'bwe_'],
] as const)('a %s token is %s and 256 bits in base64url', (kind, prefix) => {
  const token = mintToken(kind);
  expect(token).toMatch(new RegExp(`^${prefix}[A-Za-z0-9_-]{43}$`));
  expect(tokenKind(token)).toBe(kind);
  expect(mintToken(kind)).not.toBe(token);
});

test('a string without a known prefix has no kind', () => {
  expect(tokenKind('ghp_abc')).toBeNull();
  expect(tokenKind('')).toBeNull();
});

test('the stored hash is SHA-256 of the token', () => {
  expect(hashToken('abc').toString('hex')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});

test('a token matches its own hash only', () => {
  const token = mintToken('device');
  expect(tokenMatches(token, hashToken(token))).toBe(true);
  expect(tokenMatches(mintToken('device'), hashToken(token))).toBe(false);
  expect(tokenMatches(token, new Uint8Array())).toBe(false);
  expect(tokenMatches(token, hashToken(token).subarray(1))).toBe(false);
});

test('only long secrets show their last four characters', () => {
  expect(last4('bwt_0123456789abcdef')).toBe('cdef');
  expect(last4('hunter2')).toBe('');
});

test('constant-time comparison agrees with equality, also for unequal lengths', () => {
  expect(equalInConstantTime('secret', Buffer.from('secret'))).toBe(true);
  expect(equalInConstantTime('secret', 'secre')).toBe(false);
  expect(equalInConstantTime('', 'x')).toBe(false);
});
