import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { applyPatch, parsePatch, reversePatch } from 'diff';

/**
 * Mends packages in place after `npm ci`, for defects whose releases are not out yet. A patch names its package and version, and goes when that is
 * replaced; one that no longer fits ends the installation.
 *
 * `postgres` 3.4.9, where a connection is lost: what was buffered for the old socket keeps every later write of that connection waiting for ever
 * (porsager/postgres#1154, #1208); `rollback` is written to a socket that is gone, which ends the process, since it happens in a timer of the client's
 * own, as does a new connection that is lost while it asks for the array types that there are; and a transaction whose connection was opened anew
 * meanwhile would go on in it, outside of any transaction. And of each statement in the program it keeps the first call's error for good, whose stack, as
 * long as nobody reads it, holds all that the transaction around it had in its hands: a revision of ten thousand folders, say.
 *
 * `pg-boss` 12.35.0: of a `stately` queue, a worker leaves out the keys that were active when the queue was last counted, which happens every few
 * seconds. A wake-up whose key was at work in that instant waits for the next count, up to six seconds. Here a worker asks what is active now.
 */
const root = join(import.meta.dirname, '..');
for (const name of readdirSync(import.meta.dirname).filter((file) => file.endsWith('.patch'))) {
  for (const patch of parsePatch(readFileSync(join(import.meta.dirname, name), 'utf8'))) {
    const file = join(root, (patch.newFileName ?? '').replace(/^b\//, ''));
    const text = readFileSync(file, 'utf8');
    const mended = applyPatch(text, patch);
    if (mended !== false) writeFileSync(file, mended);
    else if (applyPatch(text, reversePatch(patch)) === false) throw new Error(`Cannot apply ${name} to ${file}: it is another version`);
  }
}
