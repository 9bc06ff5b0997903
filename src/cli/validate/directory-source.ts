import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectSource, TreeEntry } from '../../git/pack/object-source.ts';
import { gitProblem } from '../../git/problems.ts';
import { standInError } from '../../prepare/folder/stand-in.ts';
import { sha256Hex } from '../../wire/bundle.ts';
import type { CommittedFiles } from './committed-files.ts';

export const DIRECTORY_COMMIT = 'working-tree';

/**
 * A directory as a commit of the files that Git would commit. Object ids are paths, not hashes, so that a read loads only its own object.
 * It cannot distinguish names that are not UTF-8.
 */
export function directorySource(root: string, committed: CommittedFiles): ObjectSource {
  const folders = foldersOf([...committed.files, ...committed.repositories]);
  const isPart = (path: string) => committed.files.has(path) || folders.has(path) || committed.repositories.has(path);
  return {
    readCommit: async (oid) => ({
      oid,
      tree: treeId(''),
      parents: [],
      author: { name: '', email: '' },
      committedAt: new Date(0),
      message: '',
    }),
    readTree: async (oid) => {
      const folder = pathOf(oid, 'tree:');
      const names = await readdir(join(root, folder));
      const wanted = names.filter((name) => isPart(folder === '' ? name : `${folder}/${name}`)).sort();
      const entries = await Promise.all(wanted.map((name) => entryAt(root, folder, name, committed)));
      return entries.filter((entry) => entry !== null);
    },
    readBlob: async (oid, maxBytes) => {
      const path = pathOf(oid, 'blob:');
      const { size } = await lstat(join(root, path));
      if (size > maxBytes) throw gitProblem('git_too_large', `Cannot read "${path}": it has ${size} bytes, must have <= ${maxBytes}`);
      return asCommitted(await readFile(join(root, path)), committed.filtered.get(path));
    },
  };
}

/** The bytes that Git commits for a filtered file. A pointer whose content was never fetched stays unchanged. */
function asCommitted(bytes: Buffer, filter: string | undefined): Buffer {
  if (filter === undefined || bytes.length === 0 || standInError(bytes, '') !== null) return bytes;
  if (filter === 'lfs')
    return Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${sha256Hex(bytes)}\nsize ${bytes.length}\n`);
  return filter === 'git-crypt' ? Buffer.concat([Buffer.from('\0GITCRYPT\0'), bytes]) : bytes;
}

async function entryAt(root: string, folder: string, name: string, { repositories }: CommittedFiles): Promise<TreeEntry | null> {
  const path = folder === '' ? name : `${folder}/${name}`;
  const stats = await lstat(join(root, path));
  if (repositories.has(path)) return { name, mode: '160000', oid: `blob:${path}` };
  if (stats.isDirectory()) return { name, mode: '040000', oid: treeId(path) };
  if (stats.isSymbolicLink()) return { name, mode: '120000', oid: `blob:${path}` };
  if (!stats.isFile()) return null;
  return { name, mode: (stats.mode & 0o100) === 0 ? '100644' : '100755', oid: `blob:${path}` };
}

/** Folders that hold one of the paths. */
function foldersOf(paths: readonly string[]): Set<string> {
  const folders = new Set<string>();
  for (const path of paths)
    for (let end = path.lastIndexOf('/'); end > 0 && !folders.has(path.slice(0, end)); end = path.lastIndexOf('/', end - 1))
      folders.add(path.slice(0, end));
  return folders;
}

function treeId(path: string): string {
  return `tree:${path}`;
}

function pathOf(oid: string, prefix: string): string {
  if (!oid.startsWith(prefix)) throw gitProblem('git_object_invalid', `Cannot read "${oid}" as ${prefix.slice(0, -1)}`);
  return oid.slice(prefix.length);
}
