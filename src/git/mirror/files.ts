import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type FaultPoint, faultPoint } from '../../faults.ts';
import type { IndexedPack } from '../pack/index-of-pack.ts';
import { mirrorProblem } from '../problems.ts';
import type { Want } from '../protocol/fetch-pack.ts';
import { isOid } from '../remote.ts';

/**
 * A mirror on disk: a bare Git repository, readable by Git itself, with one ref of Bellwether's own. The leftovers of a crash are harmless: files are
 * written under another name and renamed, a pack without an index is ignored, and so is a mirror without a ref. Nothing is synced to disk, since
 * each part carries a checksum and Bellwether can fetch the whole again.
 */
export type MirrorFiles = {
  packs: { pack: Buffer; idx: Buffer }[];
  /** The last commit whose closure was verified. */
  head: string | null;
  shallow: string[];
};

const HEAD_REF = 'refs/heads/verified';
const PACKS = 'objects/pack';
/** Every fetch adds a pack, and each lookup searches all packs. Beyond this number Bellwether fetches the mirror from scratch. */
export const MAX_PACKS = 64;

/** Reads the mirror's files; empty without a mirror. Removes the leftovers of an interrupted write. */
export async function readMirror(dir: string): Promise<MirrorFiles> {
  await removeTrash(dir);
  const packDir = join(dir, PACKS);
  const names = await readdir(packDir).catch(missing<string[]>([]));
  const packs: MirrorFiles['packs'] = [];
  for (const name of names) {
    const stem = name.replace(/\.(?:idx|pack)$/, '');
    const whole = stem !== name && names.includes(`${stem}.idx`) && names.includes(`${stem}.pack`);
    if (!whole) await rm(join(packDir, name), { force: true });
    else if (name.endsWith('.idx'))
      packs.push({ idx: await readFile(join(packDir, name)), pack: await readFile(join(packDir, `${stem}.pack`)) });
  }
  return { packs, ...(await readTip(dir)) };
}

/** Reads what a fetch request needs of the mirror, without its packs. */
export async function readMirrorTip(dir: string): Promise<Omit<MirrorFiles, 'packs'> & { packCount: number }> {
  const names = await readdir(join(dir, PACKS)).catch(missing<string[]>([]));
  return { packCount: names.filter((name) => name.endsWith('.idx')).length, ...(await readTip(dir)) };
}

async function readTip(dir: string): Promise<Omit<MirrorFiles, 'packs'>> {
  const head = (await readText(join(dir, HEAD_REF))).trim();
  const shallow = (await readText(join(dir, 'shallow'))).split('\n').filter(isOid);
  return { head: isOid(head) ? head : null, shallow };
}

/**
 * Requests a commit without its history, and only the objects that the mirror's head lacks. With history, a merge of an old branch would cost more
 * than the whole snapshot. So would a few hundred commits that each replace a large file.
 */
export function wantAfter({ head }: Pick<MirrorFiles, 'head'>, oid: string): Want {
  return head === null ? { oid, haves: [], shallow: [], depth: 1 } : { oid, haves: [head], shallow: [head], depth: 1 };
}

/** One rename removes the old content, so that a crash leaves either a mirror or none. @returns the files of the empty mirror */
export async function resetMirror(dir: string): Promise<MirrorFiles> {
  await rename(dir, `${dir}${TRASH}${randomBytes(6).toString('hex')}`).catch(missing<void>(undefined));
  await removeTrash(dir);
  await onDisk(async () => {
    await mkdir(join(dir, PACKS), { recursive: true, mode: 0o700 });
    await mkdir(join(dir, dirname(HEAD_REF)), { recursive: true });
    await writeFile(join(dir, 'HEAD'), `ref: ${HEAD_REF}\n`);
    await writeFile(join(dir, 'config'), '[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n');
  });
  return { packs: [], head: null, shallow: [] };
}

/** Writes the index last, since a pack counts only with its index. */
export async function addPack(dir: string, indexed: IndexedPack, shallow: string[]): Promise<void> {
  const stem = join(dir, PACKS, `pack-${indexed.name}`);
  if (shallow.length > 0) await replaceFile(join(dir, 'shallow'), `${shallow.join('\n')}\n`);
  else await rm(join(dir, 'shallow'), { force: true });
  await replaceFile(`${stem}.pack`, indexed.pack, ['before_pack_write', 'after_pack_write']);
  await replaceFile(`${stem}.idx`, indexed.idx, ['before_index_write', 'after_index_write']);
}

export async function writeHead(dir: string, oid: string): Promise<void> {
  await replaceFile(join(dir, HEAD_REF), `${oid}\n`, ['before_head_write', 'after_head_write']);
}

/** Removes the ref, so that the next call fetches the mirror again. */
export async function removeHead(dir: string): Promise<void> {
  await rm(join(dir, HEAD_REF), { force: true });
}

const TRASH = '.trash-';

async function removeTrash(dir: string): Promise<void> {
  const siblings = await readdir(dirname(dir)).catch(missing<string[]>([]));
  for (const name of siblings)
    if (name.startsWith(basename(dir) + TRASH)) await rm(join(dirname(dir), name), { recursive: true, force: true });
}

async function replaceFile(path: string, content: string | Buffer, points: FaultPoint[] = []): Promise<void> {
  const [before, after] = points;
  const aside = `${path}.tmp`;
  await onDisk(async () => {
    if (before !== undefined) faultPoint(before);
    await writeFile(aside, content).catch(async (error: unknown) => {
      await rm(aside, { force: true });
      throw error;
    });
    await rename(aside, path);
    if (after !== undefined) faultPoint(after);
  });
}

/** @throws Problem `mirror_no_space`, and other disk errors unchanged */
async function onDisk(write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    throw mirrorProblem(error);
  }
}

async function readText(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch(missing(''));
}

/** For a promise's catch: gives this value for a missing path and throws any other error. */
function missing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return value;
    throw error;
  };
}
