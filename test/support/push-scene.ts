import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import type { RemoteCall } from '../../src/git/http/client.ts';
import { closeConnections } from '../../src/git/http/connections.ts';
import { type BranchCommit, type PushedBranch, pushCommitBranch } from '../../src/git/push.ts';
import { parseRemote } from '../../src/git/remote.ts';
import { git, openGitHost } from './git-host.ts';

const CREDENTIALS = { username: 'bot', password: 's3cret:x' };

type Repository = { name: string; url: string; good: string; bad: string; revert: BranchCommit };

/** A real Git host, repositories with a commit to revert, and valid credentials for them. */
export async function openPushScene() {
  const host = await openGitHost();
  const guard = addressGuard({ allowPrivate: true });
  let repositories = 0;
  /** Output of a git command in the repository itself. */
  const ask = async (name: string, ...args: string[]): Promise<string> => (await git(host.pathOf(name), args)).toString().trim();
  return {
    host,
    ask,
    /** A good commit, a bad one after it, and the commit that reverts to the good content. */
    repository: async (): Promise<Repository> => {
      const name = `push-${repositories++}`;
      const url = await host.createRepository(name, { user: CREDENTIALS.username, password: CREDENTIALS.password });
      const good = await host.commit(name, { 'devices/a/app.json': '{"good":true}', 'devices/b/app.json': '{}' });
      const bad = await host.commit(name, { 'devices/a/app.json': '{"good":false}', 'devices/c/app.json': '{}' });
      const revert: BranchCommit = {
        branch: 'bellwether/revert-1',
        parent: bad,
        tree: await ask(name, 'rev-parse', `${good}^{tree}`),
        message: 'Revert "Größe ändern"\n\nThe error budget is spent.\n\n',
        author: { name: 'Ada Äuthor', email: 'ada@example.com' },
        committer: { name: 'Bellwether', email: 'bellwether@example.com' },
        at: new Date('2026-11-21T02:03:04.567Z'),
      };
      return { name, url, good, bad, revert };
    },
    push: (url: string, commit: BranchCommit, call: Partial<RemoteCall> = {}): Promise<PushedBranch> => {
      const remote = parseRemote(url, { allowHttp: true, allowLocal: true });
      return pushCommitBranch(remote, { credentials: CREDENTIALS, guard, deadlineMs: 15_000, ...call }, commit);
    },
    branches: (name: string): Promise<string> => ask(name, 'for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads'),
    hook: async (name: string, kind: 'pre-receive' | 'update', script: string): Promise<void> => {
      const path = join(host.pathOf(name), 'hooks', kind);
      await writeFile(path, `#!/bin/sh\n${script}\n`);
      await chmod(path, 0o755);
    },
    close: async (): Promise<void> => {
      await closeConnections(guard);
      await host.close();
    },
  };
}
