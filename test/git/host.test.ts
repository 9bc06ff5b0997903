import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type GitHost, git, openGitHost, type Push } from '../../src/demo/stack/git-host.ts';

let root = '';
let host: GitHost;
const pushes: Push[] = [];
const ZERO = '0'.repeat(40);
const identity = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com'];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'bellwether-host-'));
  host = await openGitHost({ root, users: { ada: 'pass word' }, onPush: (push) => pushes.push(push) });
  await host.createRepository('team/site');
});
afterAll(async () => {
  await host.close();
  await rm(root, { recursive: true, force: true });
});

test('people clone and push with git, and the host reports every moved ref', async () => {
  const work = join(root, 'work');
  await git(root, ['clone', '-q', host.urlOf('team/site'), work]);
  await git(work, ['checkout', '-q', '-B', 'main']);
  await writeFile(join(work, 'a.txt'), 'hello');
  await git(work, ['add', 'a.txt']);
  await git(work, [...identity, 'commit', '-q', '-m', 'first']);
  const head = (await git(work, ['rev-parse', 'HEAD'])).toString().trim();
  const withPassword = host.urlOf('team/site').replace('http://', 'http://ada:pass%20word@');
  await git(work, ['push', '-q', withPassword, 'main', 'main:other']);
  // As at any host, the report may arrive after git itself has exited.
  await vi.waitFor(() => expect(pushes).toHaveLength(2));
  expect(pushes.splice(0)).toEqual([
    { repository: 'team/site', ref: 'refs/heads/main', before: ZERO, after: head, pusher: 'ada' },
    { repository: 'team/site', ref: 'refs/heads/other', before: ZERO, after: head, pusher: 'ada' },
  ]);
  await git(work, ['push', '-q', withPassword, ':other']);
  await vi.waitFor(() => expect(pushes).toHaveLength(1));
  expect(pushes.splice(0)).toEqual([{ repository: 'team/site', ref: 'refs/heads/other', before: head, after: ZERO, pusher: 'ada' }]);
  await git(root, ['clone', '-q', '-b', 'main', host.urlOf('team/site'), join(root, 'again')]);
  expect(await readFile(join(root, 'again/a.txt'), 'utf8')).toBe('hello');
});

test('pushing without the right password is refused, and nothing outside the root is served', async () => {
  const work = join(root, 'work');
  await expect(git(work, ['push', '-q', host.urlOf('team/site'), 'main:x'])).rejects.toThrow();
  await expect(git(work, ['push', '-q', host.urlOf('team/site').replace('http://', 'http://ada:wrong@'), 'main:x'])).rejects.toThrow();
  await expect(git(work, ['push', '-q', host.urlOf('team/site').replace('http://', 'http://constructor:x@'), 'main:x'])).rejects.toThrow();
  expect(pushes).toEqual([]);
  for (const path of [
    '/team/..%2fsite.git/info/refs',
    '/absent.git/info/refs?service=git-upload-pack',
    '/team/site.git/HEAD',
    '/%E0%A4%A.git/info/refs',
  ]) {
    const response = await fetch(host.url + path);
    await response.body?.cancel();
    expect(response.status, path).toBeGreaterThanOrEqual(400);
  }
});
