import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import type { RemoteCall } from '../../src/git/http/client.ts';
import { closeConnections } from '../../src/git/http/connections.ts';
import { DEFAULT_LIMITS } from '../../src/git/limits.ts';
import { fetchIntoMirror } from '../../src/git/mirror/mirror.ts';
import { listTree } from '../../src/git/pack/tree-diff.ts';
import { listRefs, refPrefixes, resolveRef } from '../../src/git/protocol/refs.ts';
import { type HttpRemote, parseRemote } from '../../src/git/remote.ts';
import { fetchSnapshot } from '../../src/git/snapshot.ts';
import { git, openGitHost, type TestGitHost } from '../support/git-host.ts';
import { openHost } from '../support/http-host.ts';

const guard = addressGuard({ allowPrivate: true });
let host: TestGitHost;
let scratch = '';

beforeAll(async () => {
  host = await openGitHost();
  scratch = await mkdtemp(join(tmpdir(), 'bellwether-more-git-'));
});
afterAll(async () => {
  await closeConnections(guard);
  await host.close();
  await rm(scratch, { recursive: true, force: true });
});

function remoteOf(url: string): HttpRemote {
  const remote = parseRemote(url, { allowHttp: true, allowLocal: false });
  if (remote.kind !== 'http') throw new Error(url);
  return remote;
}
const list = (url: string, wanted = 'main', extra: Partial<RemoteCall> = {}) =>
  listRefs(remoteOf(url), { prefixes: refPrefixes(wanted), guard, deadlineMs: 15_000, ...extra });
/** What a check of a source does: the ref, its commit, and all of its files. */
async function read(url: string, wanted = 'main') {
  const { name, oid } = resolveRef(await list(url, wanted), wanted);
  const source = await fetchSnapshot(remoteOf(url), { oid, ref: name, limits: DEFAULT_LIMITS, guard, deadlineMs: 15_000 });
  const commit = await source.readCommit(oid);
  const { files } = await listTree(source, commit.tree, DEFAULT_LIMITS);
  return { oid, commit, files: files.map(({ path }) => path) };
}
const caught = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe.each([true, false])('what a ref stands for, version 2: %s', (speaksV2) => {
  const name = `refs-${speaksV2}`;
  let oid = '';
  beforeAll(async () => {
    await host.createRepository(name, { speaksV2 });
    oid = await host.commit(name, { 'a.txt': 'a' });
    const path = host.pathOf(name);
    const tagged = async (tag: string, what: string) =>
      git(path, ['-c', 'user.name=T', '-c', 'user.email=t@example.com', 'tag', '-a', '-m', tag, tag, what]);
    await tagged('inner', oid);
    await tagged('outer', 'inner');
    await tagged('outermost', 'outer');
    await tagged('tree-tag', `${oid}^{tree}`);
    await git(path, ['update-ref', 'refs/tags/light-tree', (await git(path, ['rev-parse', `${oid}^{tree}`])).toString().trim()]);
    await git(path, ['update-ref', 'refs/tags/light-blob', (await git(path, ['rev-parse', `${oid}:a.txt`])).toString().trim()]);
  });

  test('a tag of a tag of a tag is its commit', async () => {
    expect((await read(host.urlOf(name), 'outermost')).oid).toBe(oid);
  });

  test.each(['tree-tag', 'light-tree', 'light-blob'])('%s is no commit, and the error says so by name', async (tag) => {
    expect(await caught(read(host.urlOf(name), tag))).toMatchObject({
      message: expect.stringMatching(new RegExp(`${tag}": it is a (?:tree|blob), must be a commit`)),
    });
  });

  test('a commit id in capital letters is the commit', async () => {
    expect((await read(host.urlOf(name), oid.toUpperCase())).oid).toBe(oid);
  });

  test('a short commit id is refused, and the error says how to write it', async () => {
    expect(await caught(read(host.urlOf(name), oid.slice(0, 8)))).toMatchObject({ message: expect.stringMatching(/40/) });
  });

  test.each(['heads/main', 'origin/main', 'refs/remotes/origin/main'])(
    '%s, as Git tools write it, is the branch or names it',
    async (wanted) => {
      const error = await caught(read(host.urlOf(name), wanted));
      if (error !== undefined) expect(error).toMatchObject({ code: 'ref_missing', message: expect.stringContaining('"main"') });
    },
  );
});

describe('what hosts say in an error packet', () => {
  test.each([
    [
      'GitLab about a project that is hidden',
      "The project you were looking for could not be found or you don't have permission to view it.",
      'git_not_found',
      'never',
    ],
    ['Gitea about rights', 'Gitea: Access denied', 'git_auth', 'never'],
    ['GitLab about rights', 'You are not allowed to download code from this project.', 'git_auth', 'never'],
    ['GitLab about load', 'GitLab is currently unable to handle this request due to load.', 'git_server_error', 'backoff'],
  ])('%s', async (_what, message, code, retry) => {
    await host.createRepository('errs');
    host.fault('errs', { kind: 'err', message });
    expect(await caught(list(host.urlOf('errs')))).toMatchObject({ code, retry, message: expect.stringContaining(message) });
    host.clearFault('errs');
  });
});

describe('statuses of gateways and of hosts under repair', () => {
  const html = { 'content-type': 'text/html' };
  test.each([
    [502, 'git_server_error', 'backoff'],
    [503, 'git_server_error', 'backoff'],
    [504, 'git_server_error', 'backoff'],
    [522, 'git_server_error', 'backoff'],
    [408, 'git_server_error', 'backoff'],
    [425, 'git_server_error', 'backoff'],
    [451, 'git_not_found', 'never'],
    [402, 'git_auth', 'never'],
  ])('%i with a page', async (status, code, retry) => {
    await host.createRepository('status');
    host.fault('status', { kind: 'status', status, headers: html, body: '<html><body>We will be back soon</body></html>' });
    expect(await caught(list(host.urlOf('status')))).toMatchObject({ code, retry, message: expect.stringContaining(String(status)) });
    host.clearFault('status');
  });
});

describe('addresses as people write them', () => {
  test.each([
    ['a slash at the end', (url: string) => `${url}/`],
    ['two slashes at the end', (url: string) => `${url}//`],
    ['a user name in percent code', (url: string) => url.replace('://', '://ada%40example.com@')],
    ['a host in capital letters', (url: string) => url.replace('http://127.0.0.1', 'HTTP://LOCALHOST')],
  ])('%s', async (_what, change) => {
    await host.createRepository('spelled');
    const oid = await host.commit('spelled', { 'a.txt': 'a' });
    expect((await read(change(host.urlOf('spelled')))).oid).toBe(oid);
  });

  test('a name with spaces and letters of other scripts', async () => {
    const asked: string[] = [];
    await using front = await openHost((request, response) => {
      asked.push(decodeURIComponent(request.url ?? ''));
      response.writeHead(404).end();
    });
    for (const url of [`${front.url}/contoso/My%20Project/_git/Kasse%20S%C3%BCd`, `${front.url}/contoso/My%20Project/_git/Kasse%20Süd`])
      await caught(list(url));
    expect(asked.every((path) => path.startsWith('/contoso/My Project/_git/Kasse Süd/'))).toBe(true);
    expect(asked.length).toBeGreaterThan(1);
    expect(() => remoteOf(`${host.url}/My Project/a.git`)).toThrow('write a space as %20');
  });

  test('a chain of redirects with a path relative to the request', async () => {
    await host.createRepository('chain-end');
    const oid = await host.commit('chain-end', { 'a.txt': 'a' });
    host.fault('chain-1', { kind: 'redirect', location: '../../chain-2.git/info/refs?service=git-upload-pack' });
    host.fault('chain-2', { kind: 'redirect', location: `${host.url}/chain-3.git/info/refs?service=git-upload-pack` });
    host.fault('chain-3', { kind: 'redirect', location: '/chain-end.git/info/refs?service=git-upload-pack' });
    expect((await read(host.urlOf('chain-1'))).oid).toBe(oid);
  });

  test('a loop of two redirects ends with an error', async () => {
    host.fault('loop-1', { kind: 'redirect', location: '/loop-2.git/info/refs?service=git-upload-pack' });
    host.fault('loop-2', { kind: 'redirect', location: '/loop-1.git/info/refs?service=git-upload-pack' });
    expect(await caught(list(host.urlOf('loop-1')))).toMatchObject({ code: 'git_redirect', message: expect.stringContaining('circle') });
  });
});

describe.each([true, false])('histories that are cut, version 2: %s', (speaksV2) => {
  const options = (oid: string) => ({ oid, ref: 'main', limits: DEFAULT_LIMITS, guard, deadlineMs: 15_000 });
  async function follow(dir: string, name: string, oid: string): Promise<string[]> {
    const source = await fetchIntoMirror(join(scratch, dir), remoteOf(host.urlOf(name)), options(oid));
    const { files } = await listTree(source, (await source.readCommit(oid)).tree, DEFAULT_LIMITS);
    for (const file of files) await source.readBlob(file.oid, DEFAULT_LIMITS.maxObjectBytes);
    return files.map(({ path }) => path);
  }

  test('a host whose own copy is shallow, its next commits, and another history in their place', async () => {
    const [full, name] = [`full-${speaksV2}`, `shallow-${speaksV2}`];
    await host.createRepository(full);
    for (let n = 0; n < 5; n++) await host.commit(full, { [`${n}.txt`]: `${n}` });
    await git(host.root, ['clone', '--quiet', '--bare', '--depth', '2', `file://${host.pathOf(full)}`, host.pathOf(name)]);
    await host.createRepository(name, { speaksV2 });
    const first = (await git(host.pathOf(name), ['rev-parse', 'main'])).toString().trim();
    expect(await follow(name, name, first)).toHaveLength(5);
    const next = await host.commit(name, { '5.txt': '5', '0.txt': null });
    expect(await follow(name, name, next)).toHaveLength(5);
    const other = await host.commit(name, { 'x.txt': 'x' }, { force: true });
    expect(await follow(name, name, other)).toEqual(['x.txt']);
    // The old history comes back.
    await git(host.pathOf(name), ['update-ref', 'refs/heads/main', next]);
    expect(await follow(name, name, next)).toHaveLength(5);
  });

  test('a merge of three branches, signed by SSH, and a commit with an empty tree after it', async () => {
    const name = `octopus-${speaksV2}`;
    await host.createRepository(name, { speaksV2 });
    const path = host.pathOf(name);
    const ids: string[] = [];
    for (const branch of ['one', 'two', 'three']) ids.push(await host.commit(name, { [`${branch}.txt`]: branch }, { branch }));
    const tree = (await git(path, ['rev-parse', `${ids[0]}^{tree}`])).toString().trim();
    const signature = ['gpgsig -----BEGIN SSH SIGNATURE-----', ' U1NIU0lHAAAAAQ', ' -----END SSH SIGNATURE-----'];
    const text = [
      `tree ${tree}`,
      ...ids.map((id) => `parent ${id}`),
      'author A <a@b> 1 +0000',
      'committer A <a@b> 1 +0000',
      ...signature,
      '',
      'm',
      '',
    ];
    const merge = (await git(path, ['hash-object', '-t', 'commit', '-w', '--stdin'], text.join('\n'))).toString().trim();
    await git(path, ['update-ref', 'refs/heads/main', merge]);
    expect(await follow(name, name, merge)).toEqual(['one.txt']);
    const empty = await host.commit(name, { 'one.txt': null });
    expect(await follow(name, name, empty)).toEqual([]);
    expect((await read(host.urlOf(name))).files).toEqual([]);
  });

  test('ten thousand refs', async () => {
    const name = `many-${speaksV2}`;
    await host.createRepository(name, { speaksV2 });
    const oid = await host.commit(name, { 'a.txt': 'a' });
    const packed = Array.from({ length: 10_000 }, (_, n) => `${oid} refs/heads/feature/${String(n).padStart(5, '0')}\n`).join('');
    await writeFile(join(host.pathOf(name), 'packed-refs'), `# pack-refs with: peeled fully-peeled sorted \n${packed}`);
    expect((await read(host.urlOf(name), 'feature/09999')).oid).toBe(oid);
    expect(await caught(read(host.urlOf(name), 'feature/1'))).toMatchObject({ code: 'ref_missing' });
  });
});

describe('connections of old servers and proxies', () => {
  async function answerOf(path: string, method: string, headers: Record<string, string>, body: Buffer): Promise<Buffer> {
    const answer = await fetch(host.url + path, { method, headers, ...(method === 'POST' ? { body } : {}) });
    return Buffer.from(await answer.arrayBuffer());
  }

  test('answers of HTTP/1.0, without a length, that end with the connection', async () => {
    await host.createRepository('old');
    const oid = await host.commit('old', { 'a.txt': 'a'.repeat(50_000) });
    const server = createTcpServer((socket: Socket) => {
      let all = Buffer.alloc(0);
      let isAnswered = false;
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        all = Buffer.concat([all, chunk]);
        const end = all.indexOf('\r\n\r\n');
        const head = all.subarray(0, end).toString('latin1');
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
        if (end < 0 || all.length < end + 4 + length || isAnswered) return;
        isAnswered = true;
        const [method = '', path = ''] = head.split(' ');
        const named = [...head.matchAll(/^(git-protocol|content-type): (.*)$/gim)].map((match) => [
          match[1] ?? '',
          (match[2] ?? '').trim(),
        ]);
        void answerOf(path, method, Object.fromEntries(named), all.subarray(end + 4)).then((body) => {
          socket.end(Buffer.concat([Buffer.from('HTTP/1.0 200 OK\r\nServer: old\r\n\r\n'), body]));
        });
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    expect((await read(`http://127.0.0.1:${port}/old.git`)).oid).toBe(oid);
    server.close();
  });

  test('a server that ends each kept connection before its next request, without a word', async () => {
    await host.createRepository('closing');
    const oid = await host.commit('closing', { 'a.txt': 'a' });
    let connections = 0;
    await using front = await openHost(async (request, response) => {
      const body = await new Response(request as never).arrayBuffer().catch(() => new ArrayBuffer(0));
      const named = Object.entries(request.headers).filter(([key]) => /^git|^content-type/.test(key));
      const answer = await answerOf(request.url ?? '', request.method ?? '', Object.fromEntries(named) as never, Buffer.from(body));
      connections += 1;
      response
        .writeHead(200, { 'content-length': answer.length, connection: 'keep-alive' })
        .end(answer, () => request.socket.destroySoon());
    });
    for (let n = 0; n < 5; n++) expect((await read(`${front.url}/closing.git`)).oid).toBe(oid);
    expect(connections).toBeGreaterThan(5);
  });
});
