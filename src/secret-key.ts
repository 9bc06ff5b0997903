import { createHash, randomBytes } from 'node:crypto';
import { link, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem } from './errors.ts';
import type { SecretKey } from './secret-box.ts';

export const SECRET_KEY_FILE = 'secret.key';

/**
 * The service's own key: `value` (32 bytes in base64) where it is configured, else the key file in the data directory, which is made at
 * first use. Any number of processes may start at once: all of them get the same key.
 *
 * @throws Problem `secret_key_invalid` when value or file do not hold 32 bytes, or the file can be read by everybody
 */
export async function loadSecretKey(options: { value?: string; dataDir: string }): Promise<SecretKey> {
  if (options.value !== undefined) return parseKey(options.value, 'the configured secret key');
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  const path = join(options.dataDir, SECRET_KEY_FILE);
  return (await readKeyFile(path)) ?? (await createKeyFile(options.dataDir, path));
}

/** Its id is derived from the key, so that a text sealed with another one is told apart without bookkeeping. */
function parseKey(text: string, subject: string): SecretKey {
  const encoded = text.trim();
  const key = Buffer.from(encoded, 'base64');
  // Buffer skips what is not base64; a key that lost characters that way would be another key.
  if (
    key.length !== 32 ||
    key.toString('base64').replace(/=+$/, '') !== encoded.replace(/=+$/, '').replaceAll('-', '+').replaceAll('_', '/')
  ) {
    throw new Problem(
      'secret_key_invalid',
      `Cannot use ${subject}: it holds ${key.length} bytes in base64, must be exactly 32 and nothing else`,
    );
  }
  const id = createHash('sha256').update('bellwether secret key id\0').update(key).digest('hex').slice(0, 16);
  return { id, key };
}

async function readKeyFile(path: string): Promise<SecretKey | null> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (file === null) return null;
  try {
    const mode = (await file.stat()).mode & 0o777;
    // A group bit is tolerated: volume mounts with a group id set it.
    if ((mode & 0o007) !== 0) {
      throw new Problem(
        'secret_key_invalid',
        `Cannot use "${path}": its mode is 0${mode.toString(8)}, must be 0600; it may have been read by others`,
      );
    }
    return parseKey(await file.readFile('utf8'), `"${path}"`);
  } finally {
    await file.close();
  }
}

/** Written aside and linked to its name: the link fails where another process was first, and a reader never sees half a key. */
async function createKeyFile(dataDir: string, path: string): Promise<SecretKey> {
  const aside = `${path}.${randomBytes(8).toString('hex')}.tmp`;
  try {
    await writeDurably(aside, `${randomBytes(32).toString('base64')}\n`);
    await link(aside, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw new Problem('secret_key_invalid', `Cannot create "${path}": ${error.message}`, { cause: error });
    });
  } finally {
    await rm(aside, { force: true });
  }
  const directory = await open(dataDir, 'r');
  await directory.sync().finally(() => directory.close());
  const key = await readKeyFile(path);
  if (key === null) throw new Problem('secret_key_invalid', `Cannot read "${path}": it vanished while it was being created`);
  return key;
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.chmod(0o600);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}
