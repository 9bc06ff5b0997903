import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Problem } from '../../src/errors.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import type { RemoteCall } from '../../src/git/http/client.ts';
import { closeConnections } from '../../src/git/http/connections.ts';
import { listRefs, refPrefixes, resolveRef } from '../../src/git/protocol/refs.ts';
import { parseRemote } from '../../src/git/remote.ts';
import { git, openGitHost, type TestGitHost } from '../support/git-host.ts';

const guard = addressGuard({ allowPrivate: true });
const call: RemoteCall = { guard, deadlineMs: 20_000 };
const remoteOf = (url: string) => parseRemote(url, { allowHttp: true, allowLocal: true });
let host: TestGitHost;

beforeAll(async () => {
  host = await openGitHost();
});
afterAll(async () => {
  await closeConnections(guard);
  await host.close();
});

async function refsOf(url: string, wanted: string) {
  return await listRefs(remoteOf(url), { ...call, prefixes: refPrefixes(wanted) });
}

describe.each([
  ['version 2', true],
  ['version 0', false],
])('listRefs() over protocol %s', (label, speaksV2) => {
  const name = `refs-${speaksV2 ? 2 : 0}`;
  let first = '';
  let second = '';
  beforeAll(async () => {
    await host.createRepository(name, { speaksV2 });
    first = await host.commit(name, { 'a.txt': 'a' });
    second = await host.commit(name, { 'a.txt': 'b' }, { branch: 'side/one' });
    await host.tag(name, 'light', first);
    await host.tag(name, 'v1', first, 'release');
  });

  test(`finds branches, tags peeled to their commit, HEAD and full names (${label})`, async () => {
    const url = host.urlOf(name);
    expect(resolveRef(await refsOf(url, 'main'), 'main')).toEqual({ name: 'refs/heads/main', oid: first });
    expect(resolveRef(await refsOf(url, 'side/one'), 'side/one')).toEqual({ name: 'refs/heads/side/one', oid: second });
    expect(resolveRef(await refsOf(url, 'light'), 'light')).toEqual({ name: 'refs/tags/light', oid: first });
    expect(resolveRef(await refsOf(url, 'v1'), 'v1')).toEqual({ name: 'refs/tags/v1', oid: first });
    expect(resolveRef(await refsOf(url, 'HEAD'), 'HEAD')).toEqual({ name: 'refs/heads/main', oid: first });
    expect(resolveRef(await refsOf(url, 'refs/heads/main'), 'refs/heads/main').oid).toBe(first);
  });

  test('lists only the requested refs', async () => {
    const found = await refsOf(host.urlOf(name), 'side/one');
    expect([...found.refs.keys()].sort()).toEqual(['HEAD', 'refs/heads/side/one']);
    expect(found).toMatchObject({ head: 'refs/heads/main', empty: false });
  });

  test('the error for a missing ref names existing refs', async () => {
    const found = await refsOf(host.urlOf(name), 'absent');
    expect(() => resolveRef(found, 'absent')).toThrow(
      expect.objectContaining({ code: 'ref_missing', message: expect.stringMatching(/"absent".*"main"/) }),
    );
  });

  test('an empty repository has its own error code', async () => {
    const url = await host.createRepository(`empty-${name}`, { speaksV2 });
    const found = await refsOf(url, 'main');
    expect(found.empty).toBe(true);
    expect(() => resolveRef(found, 'main')).toThrow(expect.objectContaining({ code: 'repository_empty' }));
  });

  test('a SHA-256 repository is not supported', async () => {
    const sha256 = `sha256-${name}`;
    const url = await host.createRepository(sha256, { speaksV2 });
    await git(host.root, [
      '-c',
      'init.defaultObjectFormat=sha256',
      'init',
      '--quiet',
      '--bare',
      '--object-format=sha256',
      host.pathOf(`${sha256}-real`),
    ]);
    const real = url.replace(sha256, `${sha256}-real`);
    await host.commit(`${sha256}-real`, { a: 'a' });
    await expect(refsOf(real, 'main')).rejects.toMatchObject({ code: 'git_unsupported' });
  });
});

test('version 2 needs one request per poll over pooled connections, and version 0 hosts get no further version 2 attempt', async () => {
  const url = await host.createRepository('poll');
  await host.commit('poll', { a: 'a' });
  await host.createRepository('poll-old', { speaksV2: false });
  await host.commit('poll-old', { a: 'a' });
  for (let n = 0; n < 5; n++) await refsOf(url, 'main');
  const polls = host.requests.filter((request) => request.repository === 'poll');
  expect(polls.map((request) => request.method)).toEqual(['POST', 'POST', 'POST', 'POST', 'POST']);
  // A request may start on a second connection before the previous one has returned to the pool.
  expect(new Set(polls.map((request) => request.remotePort)).size).toBeLessThanOrEqual(2);
  for (let n = 0; n < 3; n++) await refsOf(host.urlOf('poll-old'), 'main');
  expect(host.requests.filter((request) => request.repository === 'poll-old').map((request) => request.method)).toEqual([
    'POST',
    'GET',
    'GET',
    'GET',
  ]);
});

test('a commit id resolves to itself', async () => {
  const oid = 'a'.repeat(40);
  expect(resolveRef({ refs: new Map(), empty: true }, oid)).toEqual({ name: oid, oid });
});

test('a branch precedes a tag of the same name', () => {
  const refs = new Map([
    ['refs/tags/x', { oid: '1'.repeat(40) }],
    ['refs/heads/x', { oid: '2'.repeat(40) }],
  ]);
  expect(resolveRef({ refs, empty: false }, 'x').oid).toBe('2'.repeat(40));
});

test('a local repository lists the same refs as over HTTP', async () => {
  const url = await host.createRepository('local');
  const oid = await host.commit('local', { a: 'a' });
  await host.tag('local', 'v1', oid, 'release');
  const overHttp = await listRefs(remoteOf(url), { ...call, prefixes: ['refs/'] });
  const direct = await listRefs(remoteOf(host.pathOf('local')), { ...call, prefixes: ['refs/'] });
  expect(Object.fromEntries(direct.refs)).toEqual(Object.fromEntries(overHttp.refs));
  expect(direct.head).toBe(overHttp.head);
});

test('listing ends with refs or a Problem for any answer of a host', async () => {
  const url = await host.createRepository('babble');
  const piece = fc.constantFrom(
    '0000',
    '0001',
    '0002',
    '0003',
    '0004',
    '0005a',
    'fffe',
    '0032',
    'a'.repeat(40),
    ' ',
    'HEAD',
    'refs/heads/main',
    '\n',
    'ERR x',
    '# service=git-upload-pack',
    'version 2',
    '\0',
    '0009ERR x',
    '<html>',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 6 }), async (pieces) => {
      host.fault('babble', { kind: 'body', body: pieces.join('') });
      const outcome = await refsOf(url, 'main').catch((error: unknown) => error);
      expect(
        outcome instanceof Problem || (outcome instanceof Object && 'refs' in outcome && outcome.refs instanceof Map),
        String(outcome),
      ).toBe(true);
    }),
    { numRuns: 200 },
  );
});
