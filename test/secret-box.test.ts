import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openSecretBox, type SecretKey } from '../src/crypto/secret-box.ts';

const oldKey: SecretKey = { id: 'old', key: randomBytes(32) };
const newKey: SecretKey = { id: 'new', key: randomBytes(32) };
const CONTEXT = 'source:1:auth';
const unreadable = expect.objectContaining({ code: 'secret_unreadable' });

test('any text in any context opens again, and sealing it twice gives different texts', () => {
  const box = openSecretBox([newKey]);
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (text, context) => {
      const sealed = box.seal(text, context);
      expect(box.open(sealed, context)).toBe(text);
      expect(box.seal(text, context)).not.toBe(sealed);
    }),
  );
});

test('a text sealed for one context does not open in another', () => {
  const box = openSecretBox([newKey]);
  const sealed = box.seal('token', CONTEXT);
  expect(() => box.open(sealed, 'source:2:auth')).toThrow(unreadable);
});

test('after a rotation the old texts open and the new ones are sealed with the first key', () => {
  const sealed = openSecretBox([oldKey]).seal('token', CONTEXT);
  const rotated = openSecretBox([newKey, oldKey]);
  expect(rotated.open(sealed, CONTEXT)).toBe('token');
  expect(rotated.isCurrent(sealed)).toBe(false);
  const again = rotated.seal('token', CONTEXT);
  expect(rotated.isCurrent(again)).toBe(true);
  expect(openSecretBox([newKey]).open(again, CONTEXT)).toBe('token');
});

test('the refusal of a text whose key was removed names the key id', () => {
  const sealed = openSecretBox([oldKey]).seal('token', CONTEXT);
  expect(() => openSecretBox([newKey]).open(sealed, CONTEXT)).toThrow(/sealed with key "old", the known keys are new/);
});

test('a text with a changed bit of nonce, ciphertext, tag or key id does not open', () => {
  const box = openSecretBox([newKey, oldKey]);
  const sealed = box.seal('a token', CONTEXT);
  const [version, id, data] = sealed.split('.');
  const bytes = Buffer.from(data!, 'base64url');
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    expect(() => box.open(`${version}.${id}.${changed.toString('base64url')}`, CONTEXT)).toThrow(unreadable);
  }
  expect(() => box.open(`${version}.old.${data}`, CONTEXT)).toThrow(unreadable);
});

test('a text that is not sealed is refused without revealing it', () => {
  const box = openSecretBox([newKey]);
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((tail) => `v1.new.${tail}`),
        fc.base64String().map((tail) => `v1.new.${tail}`),
      ),
      (text) => {
        expect(() => box.open(text, CONTEXT)).toThrow(unreadable);
      },
    ),
  );
});

test('keys of another size, equal ids and no key at all are refused', () => {
  const invalid = expect.objectContaining({ code: 'secret_key_invalid' });
  expect(() => openSecretBox([])).toThrow(invalid);
  expect(() => openSecretBox([{ id: 'short', key: randomBytes(16) }])).toThrow(invalid);
  expect(() => openSecretBox([{ id: 'a.b', key: randomBytes(32) }])).toThrow(invalid);
  expect(() => openSecretBox([newKey, { id: 'new', key: randomBytes(32) }])).toThrow(invalid);
});

test('a box with `reload` seals with the present first key, and opens with a key that was added later', () => {
  let keys = [oldKey];
  const box = openSecretBox(keys, () => keys);
  const old = box.seal('token', CONTEXT);
  keys = [newKey, oldKey];
  expect(box.open(openSecretBox([newKey]).seal('other', CONTEXT), CONTEXT)).toBe('other');
  expect(openSecretBox([newKey]).open(box.seal('token', CONTEXT), CONTEXT)).toBe('token');
  keys = [newKey];
  expect(box.isCurrent(box.seal('token', CONTEXT))).toBe(true);
  expect(box.open(old, CONTEXT)).toBe('token');
  const stranger = openSecretBox([{ id: 'stranger', key: randomBytes(32) }]).seal('token', CONTEXT);
  expect(() => box.open(stranger, CONTEXT)).toThrow(unreadable);
});
