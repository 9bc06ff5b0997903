import { type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { faultPoint } from '../../faults.ts';

/**
 * A host's raw answer to a fetch: one file in the mirror's folder. The thread that waited for the host writes it, the worker thread reads it. Its
 * first line is JSON; the rest is the answer's body.
 */
export type Incoming = z.output<typeof Head> & { body: Buffer };

const Head = z.object({
  /** The requested commit. */
  oid: z.string(),
  /** The remote's address, for messages. */
  from: z.string(),
  /** The mirror's commit on which the answer builds; null for a complete answer. */
  base: z.string().nullable(),
  /** Whether the mirror stores the answer. Otherwise it serves one reading of a commit without history. */
  keep: z.boolean(),
  /** No request was necessary: the mirror already has the commit. */
  nothing: z.boolean(),
  /** The host omitted large files. */
  isPartial: z.boolean().default(false),
});

/** No branch or folder of a repository has this name, so a repository on this machine with this file is Bellwether's own mirror. */
const NAME = 'bellwether-incoming';

/** Replaces the file of an earlier fetch. `write` fills the body; when it throws, no file remains. */
export async function writeIncoming(dir: string, head: z.input<typeof Head>, write: (file: FileHandle) => Promise<void>): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, NAME);
  const aside = `${path}.tmp`;
  await rm(path, { force: true });
  const file = await open(aside, 'w', 0o600);
  try {
    await file.write(`${JSON.stringify(head)}\n`);
    await write(file);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  faultPoint('before_incoming_rename');
  await rename(aside, path);
  faultPoint('after_incoming_rename');
}

/** Reads and removes the file. @returns undefined when there is none */
export async function takeIncoming(dir: string): Promise<Incoming | undefined> {
  const path = join(dir, NAME);
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (bytes === undefined) return undefined;
  await rm(path, { force: true });
  const end = bytes.indexOf('\n');
  return { ...Head.parse(JSON.parse(bytes.toString('utf8', 0, end))), body: bytes.subarray(end + 1) };
}
