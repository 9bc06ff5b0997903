import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { applyPatch, parsePatch, reversePatch } from 'diff';

/**
 * Fixes packages in place after `npm ci`, for defects without a release yet. A patch names its package and version. Remove it when that version is
 * replaced. A patch that no longer fits stops the installation.
 *
 * `postgres` 3.4.9, after a lost connection (porsager/postgres#1154, #1208):
 * - Bytes that were buffered for the old socket make every later write of that connection wait for ever.
 * - The client writes `rollback` to a closed socket. This ends the process, because it happens in a timer of the client.
 * - A new connection that is lost while it queries the array types ends the process in the same way.
 * - A transaction whose connection was opened again would continue in it, outside of any transaction.
 * - The client keeps the first call's error of each statement for good. Its unread stack keeps the data of the transaction around it, for example a
 *   revision of ten thousand folders.
 * - A `begin` that fills the pipeline or the socket's buffer of its connection does not reserve it (porsager/postgres#1210). The transaction stays open,
 *   and queries of others run in it.
 *
 * `pg-boss` 12.35.0: a worker of a `stately` queue skips the keys that were active when the queue was last counted, which happens every few seconds.
 * A job whose key was active at that instant waits for the next count, up to six seconds. With the patch a worker queries the active keys itself.
 */
const root = join(import.meta.dirname, '..');
for (const name of readdirSync(import.meta.dirname).filter((file) => file.endsWith('.patch'))) {
  for (const patch of parsePatch(readFileSync(join(import.meta.dirname, name), 'utf8'))) {
    const file = join(root, (patch.newFileName ?? '').replace(/^b\//, ''));
    const text = readFileSync(file, 'utf8');
    const patched = applyPatch(text, patch);
    if (patched !== false) writeFileSync(file, patched);
    else if (applyPatch(text, reversePatch(patch)) === false) throw new Error(`Cannot apply ${name} to ${file}: it is another version`);
  }
}
