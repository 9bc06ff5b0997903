import { type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { faultPoint } from '../../faults.ts';

/**
 * What a host answered to a fetch, as it came, on its way from the thread that waited for it to the one that reads it: one file in the mirror's
 * folder. Its first line is JSON, the rest the answer's body.
 */
export type Incoming = z.output<typeof Head> & { body: Buffer };

const Head = z.object({
  /** The commit that was asked for. */
  oid: z.string(),
  /** Where it came from, for messages. */
  from: z.string(),
  /** The mirror's commit that the answer builds on; null: it builds on nothing. */
  base: z.string().nullable(),
  /** Whether the mirror takes it in. Else it is read once, for a commit without history. */
  keep: z.boolean(),
  /** Nothing was asked for: the mirror has the commit. */
  nothing: z.boolean(),
  /** The host left large files out. */
  isPartial: z.boolean().default(false),
});

/** No branch or folder of a repository has this name: a repository on this machine that has it is a mirror of ours. */
const NAME = 'bellwether-incoming';

/** Replaces what an earlier fetch left. `write` fills the body; when it throws, there is none. */
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

/** Takes it out of the folder. undefined: there is none. */
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
