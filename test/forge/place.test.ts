import { expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { gitea } from '../../src/forge/kinds/gitea.ts';
import { github } from '../../src/forge/kinds/github.ts';
import { gitlab } from '../../src/forge/kinds/gitlab.ts';
import { checkApiUrl, leavesOrigin, placeOf } from '../../src/forge/place.ts';
import type { ForgeKind, ForgeSettings } from '../../src/source/forge-settings.ts';

const HOSTS = { gitlab, github, gitea, forgejo: gitea };
const rules = readConfig({ ALLOW_LOCAL_SOURCES: '1' });
const place = (url: string, { forge = null, provider = null }: { forge?: ForgeSettings | null; provider?: string | null } = {}) => {
  const { apiUrl, repository } = placeOf({ name: 'tills', url, forge, webhookProvider: provider }, HOSTS, rules);
  return [repository.kind, apiUrl.href, repository.path, repository.webUrl];
};

test.each<[string, ForgeKind, string, string]>([
  ['https://github.com/fleet/tills.git', 'github', 'https://api.github.com/', 'fleet/tills'],
  ['http://www.github.com/fleet/tills', 'github', 'https://api.github.com/', 'fleet/tills'],
  ['https://github.example.com/fleet/tills.git/', 'github', 'https://github.example.com/api/v3', 'fleet/tills'],
  ['https://gitlab.com/group/sub/tills.git', 'gitlab', 'https://gitlab.com/api/v4', 'group/sub/tills'],
  ['https://my-gitlab.example.com:8443/fleet/tills.git', 'gitlab', 'https://my-gitlab.example.com:8443/api/v4', 'fleet/tills'],
  ['https://gitea.com/fleet/t%C3%A4ills', 'gitea', 'https://gitea.com/api/v1', 'fleet/täills'],
  ['https://codeberg.org/fleet/tills.git', 'forgejo', 'https://codeberg.org/api/v1', 'fleet/tills'],
])('the kind and API of %s are derived from its name', (url, kind, apiUrl, path) => {
  expect(place(url)).toEqual([kind, apiUrl, path, url.replace(/\/$/, '').replace(/\.git$/, '')]);
});

test('the source’s forge setting takes precedence, then its webhook, then the host name', () => {
  const url = 'https://gitlab.example.com/fleet/tills.git';
  expect(place(url, { provider: 'gitea' })[0]).toBe('gitea');
  expect(place(url, { provider: 'generic' })[0]).toBe('gitlab');
  expect(place(url, { provider: 'gitea', forge: { kind: 'github' } }).slice(0, 2)).toEqual(['github', 'https://gitlab.example.com/api/v3']);
});

test('the API’s address determines the path of an installation', () => {
  const forge: ForgeSettings = { kind: 'gitlab', apiUrl: 'https://example.com/git/api/v4/' };
  expect(place('https://example.com/git/fleet/tills.git', { forge })[2]).toBe('fleet/tills');
  // On another origin, the API's address does not determine the repository's path.
  expect(
    place('https://example.com/git/fleet/tills.git', { forge: { kind: 'gitlab', apiUrl: 'https://api.example.com/git/api/v4' } })[2],
  ).toBe('git/fleet/tills');
});

test.each([
  [
    'https://git.example.com/fleet/tills.git',
    'the kind of git host "git.example.com" is not known; set "forge" to {"kind": …}, one of "gitlab", "github", "gitea", "forgejo"',
  ],
  ['/srv/git/tills.git', 'it is a path on this machine'],
  ['https://github.com/tills.git', '"/tills.git" is not the path of a repository there'],
  ['https://github.com/group/sub/tills.git', 'not the path of a repository'],
  ['https://github.com/fleet/...git', 'not the path of a repository'],
  ['https://gitea.com/fleet/.git', 'not the path of a repository'],
  ['https://gitea.com/fleet/%E0%A4%A', 'not the path of a repository'],
])('%s has no supported API', (url, why) => {
  expect(() => place(url)).toThrow(
    expect.objectContaining({ code: 'forge_unsupported', status: 422, message: expect.stringContaining(why) }),
  );
});

test('an API address must contain no credentials and use https if the settings require it', () => {
  const check =
    (apiUrl: string, env = {}) =>
    () =>
      checkApiUrl({ kind: 'gitlab', apiUrl }, readConfig(env));
  expect(check('https://example.com/api/v4')).not.toThrow();
  for (const apiUrl of ['https://user:pw@example.com/api', 'https://example.com/api?x=1', 'https://example.com/api#x'])
    expect(check(apiUrl)).toThrow(
      expect.objectContaining({ code: 'invalid_request', errors: [expect.objectContaining({ pointer: '/forge/apiUrl' })] }),
    );
  expect(check('http://example.com/api', { ALLOW_HTTP_GIT_HOSTS: '0' })).toThrow('must be "https"');
});

test('an API with another scheme, host or port has another origin', () => {
  const leaves = (apiUrl: string) => leavesOrigin({ url: 'https://git.example.com/a/b.git', forge: { kind: 'gitea', apiUrl } });
  expect(leaves('https://git.example.com/api/v1')).toBe(false);
  for (const apiUrl of ['http://git.example.com/api/v1', 'https://api.example.com/', 'https://git.example.com:8443/api/v1'])
    expect(leaves(apiUrl)).toBe(true);
});
