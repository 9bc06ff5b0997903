import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashToken, mintToken } from '../crypto/tokens.ts';

export const ROOT_TOKEN_FILE = 'root-token';

/**
 * Returns the SHA-256 of the root token, which may create and disable organizations. It is the configured one, or else the one in the data folder,
 * which the first start creates. Processes that share a folder share the token.
 */
export async function loadRootTokenHash(options: { value: string | undefined; dataDir: string }): Promise<Buffer> {
  if (options.value !== undefined) return hashToken(options.value);
  await mkdir(options.dataDir, { recursive: true });
  const path = join(options.dataDir, ROOT_TOKEN_FILE);
  const isNew = await writeFile(path, `${mintToken('root')}\n`, { mode: 0o600, flag: 'wx' }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    },
  );
  if (!isNew) await chmod(path, 0o600);
  const token = (await readFile(path, 'utf8')).trim();
  if (token.length < 32) throw new Error(`Cannot use the root token in ${path}: it has ${token.length} characters, must have at least 32`);
  return hashToken(token);
}
