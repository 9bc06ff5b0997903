import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { Problem } from '../errors.ts';

/** `key` has 32 bytes. `id` names the key that sealed a text: up to 64 letters, digits, `_` and `-`. */
export type SecretKey = { id: string; key: Uint8Array };

export type SecretBox = {
  /**
   * `context` names the secret and its owner, for example `source:<id>:auth`. It is authenticated: a sealed text that was copied to another row
   * does not open there.
   */
  seal(text: string, context: string): string;
  /** @throws Problem `secret_unreadable` when the text is damaged, or was sealed for another context or with an unknown key */
  open(sealed: string, context: string): string;
  /** False when an older key sealed the text. Once all such texts are sealed again, the older key can be retired. */
  isCurrent(sealed: string): boolean;
};

const VERSION = 'v1';
const CIPHER = 'aes-256-gcm';
/** Sizes after NIST SP 800-38D: nonces of 96 random bits allow 2^32 texts per key. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SEALED = /^v1\.([\w-]{1,64})\.([\w-]+)$/;

/**
 * AES-256-GCM. The first key seals and all keys open, so a rotation puts a new key in front. The format of a sealed text is
 * `v1.<key id>.<base64url of nonce, ciphertext, tag>`.
 *
 * `reload` returns the present keys, since another process may rotate them. The box calls it before every sealing, so that no text is sealed with a
 * key that is being retired. It also calls it when a text names an unknown key. Keys that were removed since still open texts.
 *
 * @throws Problem `secret_key_invalid`
 */
export function openSecretBox(keys: readonly SecretKey[], reload?: () => readonly SecretKey[]): SecretBox {
  const keyById = new Map<string, Uint8Array>();
  let current = firstOf(keys);
  const learn = (all: readonly SecretKey[]): void => {
    current = firstOf(all);
    for (const { id, key } of all) keyById.set(id, key);
  };
  learn(keys);
  return {
    seal: (text, context) => {
      if (reload !== undefined) learn(reload());
      return seal(text, context, current);
    },
    open: (sealed, context) => {
      const id = SEALED.exec(sealed)?.[1];
      if (reload !== undefined && id !== undefined && !keyById.has(id)) learn(reload());
      return open(sealed, context, keyById);
    },
    isCurrent: (sealed) => SEALED.exec(sealed)?.[1] === current.id,
  };
}

/** @throws Problem `secret_key_invalid` */
function firstOf(keys: readonly SecretKey[]): SecretKey {
  const [first] = keys;
  if (first === undefined) throw new Problem('secret_key_invalid', 'Cannot open a secret box: there are 0 keys, must be at least 1');
  for (const key of keys) check(key);
  if (new Set(keys.map(({ id }) => id)).size !== keys.length)
    throw new Problem('secret_key_invalid', 'Cannot open a secret box: two keys have the same id');
  return first;
}

function check({ id, key }: SecretKey): void {
  if (!/^[\w-]{1,64}$/.test(id))
    throw new Problem('secret_key_invalid', `Cannot use secret key "${id}": its id must be 1 to 64 letters, digits, _ or -`);
  if (key.byteLength !== 32)
    throw new Problem('secret_key_invalid', `Cannot use secret key "${id}": it has ${key.byteLength} bytes, must be 32`);
}

function seal(text: string, context: string, { id, key }: SecretKey): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES }).setAAD(additionalData(id, context));
  const body = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return `${VERSION}.${id}.${body.toString('base64url')}`;
}

function open(sealed: string, context: string, keyById: ReadonlyMap<string, Uint8Array>): string {
  const [, id, encoded] = SEALED.exec(sealed) ?? [];
  if (id === undefined || encoded === undefined) throw unreadable(context, `it is not in the format ${VERSION}.<key id>.<data>`);
  const key = keyById.get(id);
  if (key === undefined) throw unreadable(context, `it was sealed with key "${id}", the known keys are ${[...keyById.keys()].join(', ')}`);
  const body = Buffer.from(encoded, 'base64url');
  if (body.length < NONCE_BYTES + TAG_BYTES)
    throw unreadable(context, `it has ${body.length} bytes, must be at least ${NONCE_BYTES + TAG_BYTES}`);
  const nonce = body.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
    .setAAD(additionalData(id, context))
    .setAuthTag(body.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(body.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]).toString('utf8');
  } catch {
    throw unreadable(context, 'it was changed, or was sealed for another context');
  }
}

/** Version and key id cannot contain a dot, so no two pairs of id and context give the same bytes. */
function additionalData(id: string, context: string): Buffer {
  return Buffer.from(`${VERSION}.${id}.${context}`);
}

function unreadable(context: string, why: string): Problem {
  return new Problem('secret_unreadable', `Cannot open the secret "${context}": ${why}`);
}
