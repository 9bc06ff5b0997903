import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { checkRefName, parseRemote } from '../../src/git/remote.ts';

const all = { allowHttp: true, allowLocal: true };
const strict = { allowHttp: false, allowLocal: false };

describe('parseRemote()', () => {
  test('accepts https always, http and local paths if allowed', () => {
    expect(parseRemote('https://git.example.com/a/b.git', strict)).toMatchObject({ kind: 'http', host: 'git.example.com' });
    expect(parseRemote('http://git.example.com:3000/a/b', all)).toMatchObject({ kind: 'http', host: 'git.example.com:3000' });
    expect(parseRemote('/srv/git/a', all)).toEqual({ kind: 'local', path: '/srv/git/a' });
    expect(parseRemote('file:///srv/git/a%20b', all)).toEqual({ kind: 'local', path: '/srv/git/a b' });
  });

  test.each(['http://git.example.com/a', '/srv/git/a', 'file:///srv/git/a'])('refuses %s if it is not allowed', (url) => {
    expect(() => parseRemote(url, strict)).toThrow(expect.objectContaining({ code: 'invalid_url', status: 400 }));
  });

  test.each([
    '',
    'git@host:a/b.git',
    'ssh://git@host/a',
    'git://host/a',
    'ext::sh -c id',
    'ext::x',
    'fd::17',
    'ftp://host/a',
    'javascript:alert(1)',
    '--upload-pack=x',
    '-a',
    'https://user:secret@host/a',
    'https://ghp_0123456789@host/a',
    'https://host/a?x=1',
    'https://host/a?',
    'https://host/a#b',
    'https://host/',
    'https://host',
    'https:///a\nb',
    'https://host/a\u0000b',
    'https://host/a b',
    'relative/path',
    '../up',
    'https://host\\@evil/a',
    'https://host/%2e%2e/a',
    'https://host/a%0d%0ab',
    'host:a/b',
    'file://remote.host/share',
    'https://host/a/../b',
  ])('refuses %j everywhere', (url) => {
    expect(() => parseRemote(url, all)).toThrow(expect.objectContaining({ code: 'invalid_url' }));
  });

  test('never repeats a password in its error', () => {
    expect(() => parseRemote('https://user:hunter2@host/a', all)).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('hunter2') }),
    );
  });
});

describe('checkRefName()', () => {
  test('refuses options and "@", which git check-ref-format accepts', () => {
    for (const ref of ['-x', '--upload-pack=x', '@', ''])
      expect(() => checkRefName(ref)).toThrow(expect.objectContaining({ code: 'invalid_ref' }));
  });

  test('refuses half of a surrogate pair, which is stored as another character', () => {
    for (const ref of ['\ud800', 'main\udfff', 'refs/heads/\ud800x'])
      expect(() => checkRefName(ref)).toThrow(expect.objectContaining({ code: 'invalid_ref' }));
    expect(checkRefName('\ud83d\ude80')).toBe('\ud83d\ude80');
  });

  test('agrees with git check-ref-format', () => {
    const piece = fc.constantFrom(
      'a',
      'main',
      '.',
      '..',
      '/',
      '//',
      '.lock',
      '@{',
      '@',
      '~',
      '^',
      ':',
      '?',
      '*',
      '[',
      '\\',
      ' ',
      'é',
      '-',
      '\x7f',
      '\t',
      'x.y',
    );
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 4 }), (pieces) => {
        const ref = pieces.join('');
        fc.pre(!ref.startsWith('-') && ref !== '@');
        expect(
          accepts(() => checkRefName(ref)),
          JSON.stringify(ref),
        ).toBe(accepts(() => execFileSync('git', ['check-ref-format', `refs/heads/${ref}`], { stdio: 'ignore' })));
      }),
      { numRuns: 150 },
    );
  });
});

describe('addressGuard()', () => {
  const guarded = [
    '127.0.0.1',
    '127.9.9.9',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '::1',
    'fc00::1',
    'fd12::1',
    '::ffff:127.0.0.1',
    '::ffff:10.0.0.1',
  ];
  const never = [
    '169.254.169.254',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '100.100.100.200',
    'fe80::1',
    'fe80::1%eth0',
    'fd00:ec2::254',
    '::',
    'ff02::1',
    '64:ff9b::a00:1',
    '2002:7f00:1::',
    '::ffff:169.254.169.254',
    'no address',
  ];

  test.each(guarded)('refuses %s unless private addresses are allowed', (address) => {
    expect(() => addressGuard({ allowPrivate: false }).check(address, 'git.example.com')).toThrow(
      expect.objectContaining({ code: 'address_refused' }),
    );
    expect(() => addressGuard({ allowPrivate: true }).check(address, 'git.example.com')).not.toThrow();
  });

  test.each(never)('refuses %s always', (address) => {
    expect(() => addressGuard({ allowPrivate: true }).check(address, 'git.example.com')).toThrow(
      expect.objectContaining({ code: 'address_refused' }),
    );
  });

  test.each(['140.82.112.3', '172.32.0.1', '2606:50c0:8000::153', '::ffff:8.8.8.8'])('accepts the public address %s', (address) => {
    expect(() => addressGuard({ allowPrivate: false }).check(address, 'git.example.com')).not.toThrow();
  });
});

function accepts(act: () => unknown): boolean {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}
