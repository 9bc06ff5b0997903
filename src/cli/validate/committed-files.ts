import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ignores, { type Ignore } from 'ignore';
import { expecting } from '../../errors.ts';

/** Git's environment; undefined: this process's environment. */
export type Env = Record<string, string | undefined>;

/** The files that `git add --all` would add to a commit, by path below the directory. */
export type CommittedFiles = {
  files: ReadonlySet<string>;
  /** Nested repositories and submodules. Git commits only their id. */
  repositories: ReadonlySet<string>;
  /** Files that Git commits in another form, with the name of their filter in `.gitattributes` that this machine runs: `lfs`, `git-crypt`. */
  filtered: ReadonlyMap<string, string>;
};

const MAX_LIST_BYTES = 512 * 1024 * 1024;

/**
 * Tracked files, and untracked ones that no list ignores: `.gitignore` in any folder, `.git/info/exclude` and the user's own list. If Git fails
 * (no repository, no Git, a repository of another account), only `.gitignore` files count.
 */
export async function committedFiles(root: string, env?: Env): Promise<CommittedFiles> {
  return (await askGit(root, env)) ?? (await walk(root));
}

/** @returns undefined when Git does not know the directory, or ignores all of it */
async function askGit(root: string, env: Env | undefined): Promise<CommittedFiles | undefined> {
  const options = { cwd: root, env: env && plainEnvironment(env), maxBuffer: MAX_LIST_BYTES };
  const list = async (...args: string[]) =>
    (await promisify(execFile)('git', ['-c', 'core.fsmonitor=false', 'ls-files', '-z', ...args, '--', '.'], options)).stdout;
  try {
    const [paths, staged] = [await list('--cached', '--others', '--exclude-standard'), await list('--stage')];
    const links = staged.split('\0').flatMap((line) => (line.startsWith('160000 ') ? [line.slice(line.indexOf('\t') + 1)] : []));
    const all = paths.split('\0').filter((path) => path !== '');
    // Git lists an untracked repository as a folder.
    const inner = all.filter((path) => path.endsWith('/')).map((path) => path.slice(0, -1));
    const repositories = new Set([...links, ...inner]);
    const files = new Set(all.filter((path) => !path.endsWith('/') && !repositories.has(path)));
    return files.size === 0 ? undefined : { files, repositories, filtered: await filtersOf([...files], options) };
  } catch {
    return undefined;
  }
}

/** Removes the variables that Git sets in a hook: they name the repository and the index relative to another directory. */
function plainEnvironment(env: Env): Env {
  const { GIT_DIR: _dir, GIT_WORK_TREE: _tree, GIT_INDEX_FILE: _index, GIT_PREFIX: _prefix, ...rest } = env;
  return { ...rest, GIT_OPTIONAL_LOCKS: '0' };
}

type Rules = { base: string; rules: Ignore };

async function walk(root: string): Promise<CommittedFiles> {
  const files = new Set<string>();
  const visit = async (folder: string, outer: readonly Rules[]): Promise<void> => {
    const text = await readFile(join(root, folder, '.gitignore'), 'utf8').catch(expecting('', 'ENOENT', 'EISDIR'));
    const rules = text === '' ? outer : [...outer, { base: folder === '' ? '' : `${folder}/`, rules: ignores.default().add(text) }];
    for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
      if (folder === '' && entry.name === '.git') continue;
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (isIgnored(rules, entry.isDirectory() ? `${path}/` : path)) continue;
      if (entry.isDirectory()) await visit(path, rules);
      else files.add(path);
    }
  };
  await visit('', []);
  return { files, repositories: new Set(), filtered: new Map() };
}

type GitOptions = { cwd: string; env: Env | undefined; maxBuffer: number };

/** Finds the files that a filter changes. Git commits a file unchanged if its filter has no program. */
async function filtersOf(files: readonly string[], options: GitOptions): Promise<Map<string, string>> {
  const configured = await gitOutput(['config', '--get-regexp', '--name-only', '^filter\\..*\\.(clean|process)$'], '', options);
  const runs = new Set(configured.split('\n').map((name) => name.replace(/^filter\.|\.(?:clean|process)$/g, '')));
  const filtered = new Map<string, string>();
  if (configured === '') return filtered;
  // Three fields for each file: path, attribute, value.
  const fields = (await gitOutput(['check-attr', '-z', '--stdin', 'filter'], files.map((file) => `${file}\0`).join(''), options)).split(
    '\0',
  );
  for (let at = 0; at + 2 < fields.length; at += 3) {
    const [file = '', , filter = ''] = fields.slice(at, at + 3);
    if (runs.has(filter)) filtered.set(file, filter);
  }
  return filtered;
}

/** @returns '' when the command finds nothing: `git config` then exits with 1 */
function gitOutput(args: readonly string[], input: string, options: GitOptions): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile('git', args, options, (error, stdout) => resolve(error ? '' : stdout));
    child.stdin?.on('error', () => undefined).end(input);
  });
}

/** The innermost file that has a rule for the path decides. */
function isIgnored(all: readonly Rules[], path: string): boolean {
  for (const { base, rules } of all.toReversed()) {
    const { ignored, unignored } = rules.test(path.slice(base.length));
    if (ignored || unignored) return ignored;
  }
  return false;
}
