import { isProblem } from '../git/problems.ts';
import type { TreeFault } from '../git/tree-check.ts';
import type { TreeFile } from '../git/tree-diff.ts';
import { listTree } from '../git/tree-diff.ts';
import { configError } from './config-error.ts';
import type { FolderContext } from './folder-work.ts';
import type { ConfigError } from './revision.ts';

/** Files with paths relative to their folder; none where there are errors. */
export type ListedFiles = { files: TreeFile[]; errors: ConfigError[] };

/** The files of a folder of the repository, or everything in it that must not reach a device. */
export async function listFiles(
  { objects, limits }: Pick<FolderContext, 'objects' | 'limits'>,
  path: string,
  treeOid: string,
): Promise<ListedFiles> {
  const { maxBundleFiles, maxTreeDepth } = limits;
  try {
    const listing = await listTree(objects, treeOid, { maxEntries: maxBundleFiles, maxDepth: maxTreeDepth }, path);
    if (listing.faults.length > 0) return { files: [], errors: listing.faults.map(faultError) };
    const start = path === '' ? 0 : path.length + 1;
    return { files: listing.files.map((file) => ({ ...file, path: file.path.slice(start) })), errors: [] };
  } catch (error) {
    if (isProblem(error, 'git_too_large')) {
      const detail = `has more than ${maxBundleFiles} files and folders`;
      return { files: [], errors: [configError({ code: 'too_large', file: path, rule: 'maxBundleFiles', limit: maxBundleFiles, detail })] };
    }
    if (!isProblem(error, 'git_object_invalid')) throw error;
    return {
      files: [],
      errors: [configError({ code: 'path', file: path, rule: 'unreadable', detail: `cannot be read: ${error.message}` })],
    };
  }
}

export function faultError({ path, rule, detail }: TreeFault): ConfigError {
  const subject = `Cannot accept ${JSON.stringify(path)}: `;
  const reason = detail.startsWith(subject) ? detail.slice(subject.length) : detail;
  return configError({ code: 'path', file: path, rule, detail: `cannot be accepted: ${reason}` });
}
