import { describe, expect, test } from 'vitest';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { redirectProblem } from '../../src/git/http/redirect.ts';
import { parseRemote } from '../../src/git/remote.ts';

const all = { allowHttp: true, allowLocal: true };
const none = { allowHttp: false, allowLocal: false };
const refusalOf = (url: string, rules = all): string => {
  try {
    parseRemote(url, rules);
  } catch (error) {
    return String(error);
  }
  throw new Error(`"${url}" is accepted`);
};

describe('an address of another transport is refused for what it is, with the https form', () => {
  test.each([
    ['ssh://git@github.com/a/b.git', 'over SSH', 'https://github.com/a/b.git'],
    ['SSH://git@git.example.com:2222/a/b.git', 'over SSH', 'https://git.example.com/a/b.git'],
    ['git+ssh://git@host/a.git', 'over SSH', 'https://host/a.git'],
    ['git@github.com:a/b.git', 'over SSH', 'https://github.com/a/b.git'],
    ['org-123@github.com:a/b.git', 'over SSH', 'https://github.com/a/b.git'],
    ['github.com:a/b.git', 'over SSH', 'https://github.com/a/b.git'],
    ['alias:a/b.git', 'over SSH', 'https://alias/a/b.git'],
    ['git@[2001:db8::1]:a/b', 'over SSH', 'https://[2001:db8::1]/a/b'],
    ['ssh://git@ssh.github.com:443/a/b.git', 'over SSH', 'https://github.com/a/b.git'],
    ['git@ssh.dev.azure.com:v3/contoso/fleet/tills', 'over SSH', 'https://dev.azure.com/contoso/fleet/_git/tills'],
    ['ssh://git@git.example.com:7999/proj/tills.git', 'over SSH', 'https://git.example.com/scm/proj/tills.git'],
    ['git://host/a/b.git', 'over the git protocol', 'https://host/a/b.git'],
    ['git://host:9418/a', 'over the git protocol', 'https://host/a'],
    ['rsync://host/a', 'over rsync', 'https://host/a'],
    ['ftp://host/a', 'over FTP', 'https://host/a'],
    ['git+https://host:8443/a', 'for package managers', 'https://host:8443/a'],
    ['github.com/a/b', 'no scheme', 'https://github.com/a/b'],
    ['git@github.com/a/b.git', 'no scheme', 'https://github.com/a/b.git'],
    ['git.example.com:8443/a/b', 'no scheme', 'https://git.example.com:8443/a/b'],
  ])('%s', (url, why, form) => {
    expect(refusalOf(url)).toContain(why);
    expect(refusalOf(url)).toMatch(new RegExp(`; use "${form.replace(/[.[\]]/g, '\\$&')}"$`));
    expect(parseRemote(form, none).kind).toBe('http');
  });

  test.each(['ssh://', 'ssh://host', 'git@host:x@y', 'ssh://git@host/'])('%s has no https form', (url) => {
    expect(refusalOf(url)).toMatch(/over SSH; use its https:\/\/ address$/);
  });

  test.each(['javascript:alert(1)', 'data:text/plain,a/b', 'C:/repository', 'mailto:a/b'])('%s is told by its scheme', (url) => {
    expect(refusalOf(url)).toContain('the scheme is');
  });

  test.each([
    'ssh://git:hunter2@host/a',
    'git:hunter2@host:a/b',
    'hunter2@host.example:a/b',
    'me:hunter2@host.example/a/b',
    'ssh://git@host/a?token=hunter2',
    'git@host:a/b?token=hunter2',
    'me:hunter2@host.example:a/b?token=hunter2',
    'git@host:hunter2@other/a',
  ])('%s: what may be a password is not repeated', (url) => {
    const [, told] = refusalOf(url).split('as a repository URL');
    expect(told).not.toContain('hunter2');
    if (!url.startsWith('git@host:hunter2')) expect(refusalOf(url)).not.toContain('hunter2');
  });
});

describe('a refusal names the setting that would allow it, and whose it is', () => {
  const allows = (setting: string) => `; whoever runs this service can allow it with ${setting}=true`;

  test.each([
    ['http://host/a', 'ALLOW_HTTP_GIT_HOSTS'],
    ['/srv/git/a', 'ALLOW_LOCAL_SOURCES'],
    ['file:///srv/git/a', 'ALLOW_LOCAL_SOURCES'],
  ])('%s: %s', (url, setting) => {
    expect(refusalOf(url, none)).toContain(allows(setting));
  });

  test.each(['127.0.0.1', '10.1.2.3', '::1', 'fd12::1', '::ffff:192.168.0.1'])('the private address %s', (address) => {
    expect(() => addressGuard({ allowPrivate: false }).check(address, 'git.example.com')).toThrow(allows('ALLOW_PRIVATE_GIT_HOSTS'));
    const notifies = addressGuard({ allowPrivate: false, setting: 'ALLOW_PRIVATE_NOTIFICATION_HOSTS' });
    expect(() => notifies.check(address, 'hook.example.com')).toThrow(allows('ALLOW_PRIVATE_NOTIFICATION_HOSTS'));
  });

  test.each(['169.254.169.254', '100.100.100.200', 'fe80::1'])('%s, which nothing allows', (address) => {
    for (const allowPrivate of [true, false])
      expect(() => addressGuard({ allowPrivate }).check(address, 'host')).toThrow(/which no setting allows$/);
  });
});

test.each([
  'https://evil.example.com/a/b.git/info/refs?service=git-upload-pack',
  'https://evil.example.com/',
  'https://git.example.com:8443/a/b.git/info/refs',
  'http://git.example.com/a/b.git/info/refs',
])('no advice says to use the address of a redirect: %s', (location) => {
  for (const method of ['GET', 'POST'] as const) {
    const { message } = redirectProblem(new URL('https://git.example.com/a/b.git/info/refs'), location, method);
    expect(message).toMatch(/ask its owner for the new URL$/);
    expect(message).not.toMatch(/set (?:the source's )?"?url/i);
  }
});
