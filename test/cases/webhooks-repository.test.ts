import { expect, test } from 'vitest';
import { followsRef } from '../../src/source/source.ts';
import { bitbucketDataCenter } from '../../src/source/webhook/bitbucket-data-center.ts';
import type { HookRepository } from '../../src/source/webhook/provider.ts';
import { compareRepository } from '../../src/source/webhook/repository.ts';
import { fixture, hook } from '../source/webhook/fixtures.ts';

const SOURCE = 'https://git.example.com/fleet/tills.git';
const compare = (theirs: string, ours = SOURCE) => compareRepository({ url: ours, id: null }, { urls: [theirs] });

test.each([
  'https://git.example.com/fleet/tills.git',
  'https://git.example.com/fleet/tills',
  'https://git.example.com/fleet/tills/',
  'https://git.example.com/fleet/tills.git/',
  'https://GIT.Example.com/Fleet/Tills',
  'https://git.example.com:443/fleet/tills.git',
  'http://git.example.com/fleet/tills.git',
  'http://git.example.com:80//fleet/tills.git',
  'https://ana@git.example.com/fleet/tills.git',
  'https://ana:token@git.example.com/fleet/tills.git',
  'https://git.example.com/%66leet/tills.git',
  'https://git.example.com./fleet/tills.git',
  'git@git.example.com:fleet/tills.git',
  'git.example.com:fleet/tills',
  'git@git.example.com:/fleet/tills.git',
  'ssh://git@git.example.com/fleet/tills.git',
  'ssh://git@git.example.com:2222/fleet/tills.git',
  'git://git.example.com/fleet/tills.git',
  'git://git.example.com:9418/fleet/tills.git',
])('%s is the repository of the source', (url) => {
  expect(compare(url)).toBe('same');
});

test.each([
  'https://git.example.com/fleet/gates.git',
  'https://git.example.com/fleet/tills-2.git',
  'https://git.example.com/fleet/tills/wiki',
  'https://git.example.com/other/tills.git',
  'https://git.example.com/tills.git',
  'https://git.example.com:8443/fleet/tills.git',
  'https://git.example.org/fleet/tills.git',
  'https://evil.example/git.example.com/fleet/tills.git',
  'https://git.example.com@evil.example/fleet/tills.git',
  'git@git.example.org:fleet/tills.git',
  'ssh://git@git.example.com/fleet/gates.git',
])('%s is another repository', (url) => {
  expect(compare(url)).toBe('other');
});

test.each(['', 'tills', '/srv/git/tills.git', 'file:///srv/git/tills.git', 'ext::sh', 'https://', 'x'.repeat(3000), '\u0000'])(
  '%j is no address to compare, and the hook is accepted',
  (url) => {
    expect(compare(url)).toBe('unknown');
  },
);

test('a port, a sub-path and a local host are compared literally', () => {
  expect(compare('https://git.example.com:3000/a/b', 'https://git.example.com:3000/a/b.git')).toBe('same');
  expect(compare('ssh://git@git.example.com:2222/a/b', 'https://git.example.com:3000/a/b.git')).toBe('same');
  expect(compare('https://git.example.com/gitea/a/b', 'https://git.example.com/gitea/a/b.git')).toBe('same');
  expect(compare('http://localhost:3000/a/b', 'http://127.0.0.1:3000/a/b')).toBe('same');
  expect(compare('http://localhost:3001/a/b', 'http://127.0.0.1:3000/a/b')).toBe('other');
  // A local source has no address that a host could name.
  expect(compare('https://git.example.com/a/b', '/srv/git/b.git')).toBe('unknown');
});

test('the three forms of Azure DevOps are one repository', () => {
  const forms = [
    'https://dev.azure.com/fleet/Fleet/_git/tills',
    'https://fleet@dev.azure.com/fleet/Fleet/_git/tills',
    'https://fleet.visualstudio.com/Fleet/_git/tills',
    'https://fleet.visualstudio.com/DefaultCollection/Fleet/_git/tills',
    'git@ssh.dev.azure.com:v3/fleet/Fleet/tills',
    'fleet@vs-ssh.visualstudio.com:v3/fleet/Fleet/tills',
  ];
  for (const ours of forms) for (const theirs of forms) expect(compare(theirs, ours), `${ours} ${theirs}`).toBe('same');
  expect(compare('https://dev.azure.com/fleet/_git/tills', 'https://dev.azure.com/fleet/tills/_git/tills')).toBe('same');
  expect(compare('https://dev.azure.com/fleet/Other%20One/_git/tills', 'https://dev.azure.com/fleet/Fleet/_git/tills')).toBe('other');
  expect(compare('https://dev.azure.com/fleet/The%20Fleet/_git/tills', 'https://fleet.visualstudio.com/The Fleet/_git/tills')).toBe('same');
});

test('one matching address is enough, a path without an address too, and the host’s id survives a rename', () => {
  const known = { url: SOURCE, id: 'github:7' };
  const judge = (repository: Partial<HookRepository>) => compareRepository(known, { urls: [], ...repository });
  expect(judge({ urls: ['http://internal:3000/fleet/tills.git', 'git@git.example.com:fleet/tills.git'] })).toBe('same');
  expect(judge({ path: 'Fleet/Tills' })).toBe('same');
  expect(judge({ path: 'fleet/gates' })).toBe('other');
  expect(judge({ path: 'leet/tills' })).toBe('other');
  expect(judge({ urls: ['https://git.example.com/fleet/shops.git'], id: 'github:7' })).toBe('renamed');
  expect(judge({ urls: ['https://git.example.com/fleet/shops.git'], id: 'github:8' })).toBe('other');
  // The old name now belongs to another repository.
  expect(judge({ urls: [SOURCE], id: 'github:8' })).toBe('same');
  expect(judge({})).toBe('unknown');
  expect(compareRepository(known, undefined)).toBe('unknown');
});

test('Bitbucket Data Center writes "scm" only into HTTP addresses', () => {
  const body = fixture('bitbucket-data-center-push').toString().replace('https://bitbucket.example.com/scm/fleet/terminals.git', '');
  const parsed = bitbucketDataCenter.parse(hook({ 'x-event-key': 'repo:refs_changed' }, body));
  if (parsed.kind !== 'change') throw new Error(parsed.kind);
  const judge = (url: string) => compareRepository({ url, id: null }, parsed.repository);
  expect(judge('https://bitbucket.example.com/scm/FLEET/terminals.git')).toBe('same');
  expect(judge('https://bitbucket.example.com/scm/fleet/gates.git')).toBe('other');
});

test('a ref is compared with its full name', () => {
  for (const [ref, changed] of [
    ['main', 'refs/heads/main'],
    ['main', 'main'],
    ['refs/heads/main', 'main'],
    ['v1', 'refs/tags/v1'],
    ['refs/tags/v1', 'v1'],
    ['team/main', 'refs/heads/team/main'],
    ['main', null],
  ] as const)
    expect(followsRef(ref, changed), `${ref} ${changed}`).toBe(true);
  for (const [ref, changed] of [
    ['main', 'refs/heads/Main'],
    ['main', 'refs/heads/team/main'],
    ['refs/heads/v1', 'refs/tags/v1'],
    ['refs/tags/v1', 'refs/heads/v1'],
    ['main', 'refs/pull/7/head'],
  ] as const)
    expect(followsRef(ref, changed), `${ref} ${changed}`).toBe(false);
  expect(followsRef('HEAD', 'refs/heads/trunk', ['refs/heads/trunk'])).toBe(true);
  expect(followsRef('HEAD', 'trunk', ['refs/heads/trunk'])).toBe(true);
  expect(followsRef('HEAD', 'refs/heads/topic', ['refs/heads/trunk', 'refs/heads/main'])).toBe(false);
  // The default branch is not known yet.
  expect(followsRef('HEAD', 'refs/heads/topic', [])).toBe(true);
  expect(followsRef('HEAD', 'refs/tags/v1', [])).toBe(false);
});
