import type { ObjectSource } from '../git/pack/object-source.ts';
import type { TreeFault, TreeRule } from '../git/pack/tree-check.ts';
import type { TreeFile, TreeListing } from '../git/pack/tree-diff.ts';
import { listTree } from '../git/pack/tree-diff.ts';
import { isProblem } from '../git/problems.ts';
import { configError } from '../revision/config-error.ts';
import type { RevisionLimits } from '../revision/limits.ts';
import type { ConfigError } from '../revision/revision.ts';

/** A file or folder that no device may get. It is an error only where the manifest selects it. */
export type FileFault = {
  /** Relative to the folder. */
  path: string;
  /** `file`: the fault is at the path. `link`: its target would be below the path. `folder`: the content below is unknown. */
  reach: 'file' | 'link' | 'folder';
  /** The path is taken, unless this one is taken, too. */
  twin?: string;
  error: ConfigError;
};

/** Files with paths relative to their folder; none where there are errors. */
export type ListedFiles = { files: TreeFile[]; faults: FileFault[]; errors: ConfigError[] };

/** No honest client of Git writes such names: they are errors wherever they stand. */
const HOSTILE: ReadonlySet<TreeRule> = new Set(['empty_name', 'dot_name', 'git_name', 'duplicate']);
/** A name that leads out of its folder by a separator of its own. */
const WAY_OUT = /(?:^|[\\/])\.\.(?:[\\/]|$)/;

/** The files of a folder of the repository, and everything in it that must not reach a device. */
export async function listFiles(
  { objects, limits }: { objects: ObjectSource; limits: Pick<RevisionLimits, 'maxListedFiles' | 'maxTreeDepth'> },
  path: string,
  treeOid: string,
): Promise<ListedFiles> {
  const { maxListedFiles, maxTreeDepth } = limits;
  try {
    const listing = await listTree(objects, treeOid, { maxEntries: maxListedFiles, maxDepth: maxTreeDepth }, path);
    const hostile = listing.faults.filter(({ rule, path: place }) => HOSTILE.has(rule) || (rule === 'separator' && WAY_OUT.test(place)));
    if (hostile.length > 0) return refused(...hostile.map(faultError));
    return { ...judged(listing, path === '' ? 0 : path.length + 1), errors: [] };
  } catch (error) {
    if (isProblem(error, 'git_too_large')) {
      const detail = `has more than ${maxListedFiles} files and folders`;
      return refused(configError({ code: 'too_large', file: path, rule: 'maxListedFiles', limit: maxListedFiles, detail }));
    }
    if (!isProblem(error, 'git_object_invalid')) throw error;
    return refused(configError({ code: 'path', file: path, rule: 'unreadable', detail: `cannot be read: ${error.message}` }));
  }
}

function refused(...errors: ConfigError[]): ListedFiles {
  return { files: [], faults: [], errors };
}

/** @param start where paths relative to the folder begin */
function judged({ files, faults }: TreeListing, start: number): Omit<ListedFiles, 'errors'> {
  const result: Omit<ListedFiles, 'errors'> = { files: [], faults: [] };
  const named = new Map<string, ConfigError>();
  for (const fault of faults) {
    const error = faultError(fault);
    const path = fault.path.slice(start);
    if (fault.rule === 'unreadable' || fault.rule === 'too_deep') result.faults.push({ path, reach: 'folder', error });
    else if (fault.rule === 'symlink' || fault.rule === 'submodule') result.faults.push({ path, reach: 'link', error });
    else if (fault.twin !== undefined) result.faults.push({ path, reach: 'file', twin: fault.twin.slice(start), error });
    if (fault.twin === undefined) named.set(fault.path, error);
  }
  for (const file of files) {
    const path = file.path.slice(start);
    const error = named.size === 0 ? undefined : faultOn(named, file.path);
    if (error === undefined) result.files.push({ ...file, path });
    else result.faults.push({ path, reach: 'file', error });
  }
  return result;
}

/** The error of the path, or of a folder on the way to it. */
function faultOn(named: ReadonlyMap<string, ConfigError>, path: string): ConfigError | undefined {
  for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
    const error = named.get(path.slice(0, end));
    if (error !== undefined) return error;
  }
  return undefined;
}

export function faultError({ path, rule, detail }: TreeFault): ConfigError {
  const subject = `Cannot accept ${JSON.stringify(path)}: `;
  const reason = detail.startsWith(subject) ? detail.slice(subject.length) : detail;
  return configError({ code: 'path', file: path, rule, detail: `cannot be accepted: ${reason}` });
}
