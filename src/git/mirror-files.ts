import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { IndexedPack } from './pack-index.ts';
import { isOid } from './remote.ts';

/**
 * A mirror on disk: a bare Git repository (Git itself can read it) whose only ref is ours. What a crash can leave is harmless: a file is
 * written aside and renamed, a pack without its index does not count, and no ref means that nothing counts. Nothing is synced to disk,
 * since each part carries a checksum and the whole can be fetched again.
 */
export type MirrorFiles = {
  packs: { pack: Buffer; idx: Buffer }[];
  /** The last commit whose closure was verified. */
  head: string | null;
  shallow: string[];
};

const HEAD_REF = 'refs/heads/verified';

/** Empty when there is no mirror. Removes what an interrupted write left. */
export async function readMirror(dir: string): Promise<MirrorFiles> {
  await removeTrash(dir);
  const packDir = join(dir, 'objects/pack');
  const names = await readdir(packDir).catch(missing<string[]>([]));
  const packs: MirrorFiles['packs'] = [];
  for (const name of names) {
    const stem = name.replace(/\.(?:idx|pack)$/, '');
    const whole = stem !== name && names.includes(`${stem}.idx`) && names.includes(`${stem}.pack`);
    if (!whole) await rm(join(packDir, name), { force: true });
    else if (name.endsWith('.idx'))
      packs.push({ idx: await readFile(join(packDir, name)), pack: await readFile(join(packDir, `${stem}.pack`)) });
  }
  const head = (await readText(join(dir, HEAD_REF))).trim();
  const shallow = (await readText(join(dir, 'shallow'))).split('\n').filter(isOid);
  return { packs, head: isOid(head) ? head : null, shallow };
}

/** The old content goes away in one rename, so that a crash leaves either a mirror or none. */
export async function resetMirror(dir: string): Promise<void> {
  await rename(dir, `${dir}${TRASH}${randomBytes(6).toString('hex')}`).catch(missing<void>(undefined));
  await removeTrash(dir);
  await mkdir(join(dir, 'objects/pack'), { recursive: true, mode: 0o700 });
  await mkdir(join(dir, dirname(HEAD_REF)), { recursive: true });
  await writeFile(join(dir, 'HEAD'), `ref: ${HEAD_REF}\n`);
  await writeFile(join(dir, 'config'), '[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n');
}

/** The index comes last: with it the pack counts. */
export async function addPack(dir: string, indexed: IndexedPack, shallow: string[]): Promise<void> {
  const stem = join(dir, 'objects/pack', `pack-${indexed.name}`);
  if (shallow.length > 0) await replaceFile(join(dir, 'shallow'), `${shallow.join('\n')}\n`);
  else await rm(join(dir, 'shallow'), { force: true });
  await replaceFile(`${stem}.pack`, indexed.pack);
  await replaceFile(`${stem}.idx`, indexed.idx);
}

export async function writeHead(dir: string, oid: string): Promise<void> {
  await replaceFile(join(dir, HEAD_REF), `${oid}\n`);
}

/** Without its ref the mirror is fetched again by the next call. */
export async function removeHead(dir: string): Promise<void> {
  await rm(join(dir, HEAD_REF), { force: true });
}

const TRASH = '.trash-';

async function removeTrash(dir: string): Promise<void> {
  const siblings = await readdir(dirname(dir)).catch(missing<string[]>([]));
  for (const name of siblings)
    if (name.startsWith(basename(dir) + TRASH)) await rm(join(dirname(dir), name), { recursive: true, force: true });
}

async function replaceFile(path: string, content: string | Buffer): Promise<void> {
  const aside = `${path}.tmp`;
  await writeFile(aside, content);
  await rename(aside, path);
}

async function readText(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch(missing(''));
}

/** For a promise's catch: a path that is not there has this value, any other error stands. */
function missing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return value;
    throw error;
  };
}
