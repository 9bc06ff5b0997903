import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { link, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, Problem } from '../errors.ts';
import type { SecretKey } from './secret-box.ts';

export const SECRET_KEY_FILE = 'secret.key';

/**
 * Loads the service's own keys; the first one seals. They come from `value` where it is configured: 32 bytes in base64, or several such keys with
 * commas between. Otherwise they are the lines of the key file in the data directory, which the first use creates. Processes that start at once
 * all get the same keys.
 *
 * @throws Problem `secret_key_invalid` when value or file do not hold keys of 32 bytes, or everybody can read the file
 */
export async function loadSecretKeys(options: { value?: string; dataDir: string }): Promise<SecretKey[]> {
  if (options.value !== undefined) return options.value.split(',').map((text) => parseKey(text, 'the configured secret key'));
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  return readKeyFile(options.dataDir) ?? (await createKeyFile(options.dataDir));
}

/** Reads the present key file, which takes a few microseconds. @throws Problem `secret_key_invalid`, also when the file no longer exists */
export function readSecretKeys(dataDir: string): SecretKey[] {
  const keys = readKeyFile(dataDir);
  if (keys !== undefined) return keys;
  throw new Problem('secret_key_invalid', `Cannot use "${join(dataDir, SECRET_KEY_FILE)}": it no longer exists`);
}

/** Puts a new key in front of the keys in the file. All processes that use the file then seal with it. @returns the keys, the new one first */
export async function addSecretKey(dataDir: string): Promise<SecretKey[]> {
  const keys = await loadSecretKeys({ dataDir });
  const added = parseKey(randomBytes(32).toString('base64'), 'a new key');
  await replaceKeyFile(dataDir, [added, ...keys]);
  return [added, ...keys];
}

/** Removes all other keys from the file. Processes that have not read the removed keys can no longer open the texts of those keys. */
export async function keepOneSecretKey(dataDir: string, key: SecretKey): Promise<void> {
  await replaceKeyFile(dataDir, [key]);
}

/** Derives the id from the key, so that a text sealed with another key is recognized without bookkeeping. */
function parseKey(text: string, subject: string): SecretKey {
  const encoded = text.trim();
  const key = Buffer.from(encoded, 'base64');
  // Buffer skips characters that are not base64. A key that lost characters that way would be another key.
  if (
    key.length !== 32 ||
    key.toString('base64').replace(/=+$/, '') !== encoded.replace(/=+$/, '').replaceAll('-', '+').replaceAll('_', '/')
  ) {
    throw new Problem(
      'secret_key_invalid',
      `Cannot use ${subject}: it has ${key.length} bytes in base64, must have exactly 32 and nothing else`,
    );
  }
  const id = createHash('sha256').update('bellwether secret key id\0').update(key).digest('hex').slice(0, 16);
  return { id, key };
}

function readKeyFile(dataDir: string): SecretKey[] | undefined {
  const path = join(dataDir, SECRET_KEY_FILE);
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  const mode = stats.mode & 0o777;
  // A group bit is tolerated: volume mounts with a group id set it.
  if ((mode & 0o007) !== 0) {
    throw new Problem(
      'secret_key_invalid',
      `Cannot use "${path}": its mode is 0${mode.toString(8)}, must be 0600; others may have read it`,
    );
  }
  return readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => parseKey(line, `"${path}"`));
}

/** Writes a temporary file and links it to the name. The link fails where another process was first, and a reader never reads half a key. */
async function createKeyFile(dataDir: string): Promise<SecretKey[]> {
  const path = join(dataDir, SECRET_KEY_FILE);
  const aside = asideOf(path);
  try {
    await writeDurably(aside, [randomBytes(32)]);
    await link(aside, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw new Problem('secret_key_invalid', `Cannot create "${path}": ${error.message}`, { cause: error });
    });
  } finally {
    await rm(aside, { force: true });
  }
  await syncDirectory(dataDir);
  return readSecretKeys(dataDir);
}

/** Swaps the whole file atomically. It keeps the file's owner, since another account than the service's may run this. */
async function replaceKeyFile(dataDir: string, keys: readonly SecretKey[]): Promise<void> {
  const path = join(dataDir, SECRET_KEY_FILE);
  const { uid, gid } = await stat(path);
  const aside = asideOf(path);
  try {
    await writeDurably(
      aside,
      keys.map(({ key }) => key),
      { uid, gid },
    );
    await rename(aside, path);
  } catch (error) {
    throw new Problem('secret_key_invalid', `Cannot replace "${path}": ${messageOf(error)}`, { cause: error });
  } finally {
    await rm(aside, { force: true });
  }
  await syncDirectory(dataDir);
}

function asideOf(path: string): string {
  return `${path}.${randomBytes(8).toString('hex')}.tmp`;
}

async function writeDurably(path: string, keys: readonly Uint8Array[], owner?: { uid: number; gid: number }): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.chmod(0o600);
    const own = await file.stat();
    if (owner !== undefined && (owner.uid !== own.uid || owner.gid !== own.gid)) await file.chown(owner.uid, owner.gid);
    await file.writeFile(keys.map((key) => `${Buffer.from(key).toString('base64')}\n`).join(''));
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  await directory.sync().finally(() => directory.close());
}
