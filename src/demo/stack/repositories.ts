import { randomBytes } from 'node:crypto';
import { access, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf, Problem } from '../../errors.ts';
import { type GitHost, git, openGitHost } from './git-host.ts';
import { type HookTarget, postPush } from './hook.ts';
import { applyEdit, type Edit } from './kinds.ts';

/** A sample repository on the Git host, with a work tree to commit in. */
export type Repository = {
  name: string;
  layout: 'repo' | 'fleet';
  url: string;
  /** To clone from and push to, with user and password in it. */
  urlWithCredentials: string;
  workTree: string;
};

/** `startedMs`: just before `git push` started, on the clock of `performance.now()`. */
export type Pushed = { commit: string; startedMs: number };

export type Repositories = {
  user: string;
  password: string;
  /** Makes a repository with the files of `fixtures/<fixture>` as its first commit. */
  create(name: string, layout: Repository['layout'], fixture: string): Promise<Repository>;
  /** Makes each later push to the repository send a webhook to the service. */
  follow(name: string, target: HookTarget): void;
  /** When the hook of a commit left, on the clock of `performance.now()`. */
  hookLeftMs(commit: string): number | undefined;
  close(): Promise<void>;
};

const FIXTURES = fileURLToPath(new URL('../../../fixtures', import.meta.url));
const USER = 'demo';
const AUTHOR = ['-c', 'user.name=Ada Engineer', '-c', 'user.email=ada@example.com'];

/** Needs git and its HTTP server on the PATH. @throws Problem `git_missing` */
export async function requireGit(): Promise<void> {
  let folder: string;
  try {
    folder = (await git('.', ['--exec-path'])).toString().trim();
  } catch (cause) {
    throw new Problem(
      'git_missing',
      'Cannot run the demonstration: it needs Git; install it, so that "git" is in /usr/bin or /usr/local/bin, and try again',
      {
        cause,
      },
    );
  }
  await access(join(folder, 'git-http-backend')).catch((cause: unknown) => {
    throw new Problem(
      'git_missing',
      `Cannot run the demonstration: this Git has no "git-http-backend" in ${folder}; install the full package`,
      { cause },
    );
  });
}

/** A Git host below `dir` that acts as GitLab does: users push with a password, and each push posts a hook. */
export async function openRepositories(dir: string, onHookFailure: (message: string) => void): Promise<Repositories> {
  const [root, workTrees] = [join(dir, 'host'), join(dir, 'work')];
  for (const path of [dir, root, workTrees]) await mkdir(path, { mode: 0o700 });
  const password = randomBytes(12).toString('hex');
  const targets = new Map<string, HookTarget>();
  const left = new Map<string, number>();
  const host = await openGitHost({
    root,
    users: { [USER]: password },
    isPrivate: () => true,
    onPush(push) {
      const target = targets.get(push.repository);
      if (target === undefined) return;
      left.set(push.after, performance.now());
      postPush(target, push).catch((error: unknown) => onHookFailure(messageOf(error)));
    },
  });
  return {
    user: USER,
    password,
    create: (name, layout, fixture) => create(host, join(workTrees, name), { name, layout, fixture, password }),
    follow: (name, target) => void targets.set(name, target),
    hookLeftMs: (commit) => left.get(commit),
    close: () => host.close(),
  };
}

/** Edits, commits and pushes over HTTP, as an engineer does. */
export async function commitAndPush({ workTree }: Repository, message: string, edits: readonly Edit[]): Promise<Pushed> {
  for (const edit of edits) {
    const path = join(workTree, edit.file);
    await writeFile(path, applyEdit(await readFile(path, 'utf8'), edit));
  }
  await git(workTree, [...AUTHOR, 'commit', '--quiet', '--all', '-m', message]);
  const commit = (await git(workTree, ['rev-parse', 'HEAD'])).toString().trim();
  const startedMs = performance.now();
  await git(workTree, ['push', '--quiet', 'origin', 'main']);
  return { commit, startedMs };
}

type Wanted = Pick<Repository, 'name' | 'layout'> & { fixture: string; password: string };

async function create(host: GitHost, workTree: string, { name, layout, fixture, password }: Wanted): Promise<Repository> {
  await host.createRepository(name);
  const url = host.urlOf(name);
  const urlWithCredentials = url.replace('://', `://${USER}:${password}@`);
  await cp(join(FIXTURES, fixture), workTree, { recursive: true });
  await git(workTree, ['init', '--quiet', '--initial-branch=main']);
  await git(workTree, ['remote', 'add', 'origin', urlWithCredentials]);
  await git(workTree, ['add', '--all']);
  await git(workTree, [...AUTHOR, 'commit', '--quiet', '-m', 'First configuration']);
  await git(workTree, ['push', '--quiet', 'origin', 'main']);
  return { name, layout, url, urlWithCredentials, workTree };
}
