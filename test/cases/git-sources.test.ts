import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBulkhead } from '../../controller/reconcile/bulkhead.ts';
import { reconcileSource } from '../../controller/reconcile/source.ts';
import { createPoll } from '../../controller/sweep/poll.ts';
import { git, openGitHost, type TestGitHost } from '../support/git-host.ts';
import { postGitLabPush, SIGNING_TOKEN } from '../support/hooks.ts';
import { folder } from '../support/scene.ts';
import { openService, type TestService } from '../support/service.ts';

let host: TestGitHost;
let service: TestService;

beforeAll(async () => {
  host = await openGitHost();
  // The API alone: a source is checked when the test says so.
  service = await openService({ ROLE: 'api' });
});
afterAll(async () => {
  await service.close();
  await host.close();
});

const check = (id: string) => reconcileSource(service.app.services, createBulkhead({ workers: 2, slowAtOnce: 1 }), id);
const now = async (id: string) => (await service.api('GET', `/sources/${id}`)).body;
async function add(name: string, url: string, more: object = {}): Promise<string> {
  const created = await service.api('POST', '/sources', { name, url, layout: 'repo', pollIntervalSeconds: 3600, ...more });
  expect(created.status, JSON.stringify(created.body)).toBe(201);
  return created.body.id;
}

/** A commit of any bytes with the tree of the branch's head, put in the branch's place. */
async function replaceHead(name: string, lines: (tree: string) => string): Promise<string> {
  const path = host.pathOf(name);
  const tree = (await git(path, ['rev-parse', 'main^{tree}'])).toString().trim();
  const body = Buffer.from(lines(tree), 'latin1');
  const whole = Buffer.concat([Buffer.from(`commit ${body.length}\0`), body]);
  const oid = createHash('sha1').update(whole).digest('hex');
  await mkdir(join(path, 'objects', oid.slice(0, 2)), { recursive: true });
  await writeFile(join(path, 'objects', oid.slice(0, 2), oid.slice(2)), deflateSync(whole));
  await writeFile(join(path, 'refs/heads/main'), `${oid}\n`);
  return oid;
}

test.each([
  ['milliseconds', 'A <a@b> 1700000000000 +0000', '9999-12-31T23:59:59.000Z'],
  ['the year 11476', 'A <a@b> 300000000000 +0000', '9999-12-31T23:59:59.000Z'],
  ['a short zone', 'A <a@b> 1288373970 --700', '2010-10-29T17:39:30.000Z'],
  ['nested brackets', 'A <a <b@c>> 1 +0000', '1970-01-01T00:00:01.000Z'],
  ['no time', 'A <a@b>', '1970-01-01T00:00:00.000Z'],
  ['no zone', 'A <a@b> 1700000000', '2023-11-14T22:13:20.000Z'],
  ['a NUL and bytes that are no UTF-8', 'M\xfc\0ller <a@b> -5 +0000', '1970-01-01T00:00:00.000Z'],
])('a commit with %s in its committer line is taken', async (what, who, committedAt) => {
  const name = `commit-${what.replace(/\W/g, '-')}`;
  const url = await host.createRepository(name);
  await host.commit(name, folder({ vlan: 1 }));
  const head = await replaceHead(name, (tree) => `tree ${tree}\nauthor ${who}\ncommitter ${who}\nx-note: \0\n\nmessage \0 \xff\n`);
  const id = await add(name, url);
  await check(id);
  expect(await now(id)).toMatchObject({ status: 'ok', headCommit: head, lastError: null });
  const [revision] = (await service.api('GET', `/sources/${id}/revisions`)).body.items;
  expect(revision).toMatchObject({ commit: head, committedAt, verdict: 'valid' });
});

test('a redirect on the same host is followed and shown on the source, until the URL is set to it', async () => {
  const url = await host.createRepository('moved');
  const head = await host.commit('moved', folder({ vlan: 1 }));
  host.fault('before', { kind: 'status', status: 301, headers: { location: '/moved.git/info/refs?service=git-upload-pack' } });
  const id = await add('redirect', host.urlOf('before'));
  await check(id);
  expect(await now(id)).toMatchObject({ status: 'ok', headCommit: head, movedTo: url });
  await service.api('PATCH', `/sources/${id}`, { url });
  expect(await now(id)).toMatchObject({ url, movedTo: null });
  await check(id);
  expect(await now(id)).toMatchObject({ status: 'ok', movedTo: null });
});

test('a host that names a time is not asked before it, whoever wakes the source', async () => {
  const url = await host.createRepository('limited');
  await host.commit('limited', folder({ vlan: 1 }));
  const id = await add('limited', url, { webhook: { provider: 'gitlab', secret: SIGNING_TOKEN } });
  await check(id);
  host.fault('limited', { kind: 'status', status: 403, headers: { 'retry-after': new Date(Date.now() + 600_000).toUTCString() } });
  await service.database.sql`update sources set next_check_at = now()`;
  const poll = createPoll();
  await poll.run(service.app.services);
  await poll.idle();
  await poll.run(service.app.services);
  const asked = () => host.requests.filter(({ repository }) => repository === 'limited').length;
  const before = asked();
  const wait = async () => (Date.parse((await now(id)).nextCheckAt) - Date.now()) / 1000;
  expect(await now(id)).toMatchObject({ status: 'failing', lastError: { code: 'git_rate_limited' } });
  expect(await wait()).toSatisfy((seconds: number) => seconds > 580 && seconds < 680);
  host.clearFault('limited');

  const next = await host.commit('limited', folder({ vlan: 2 }));
  const hooked = await postGitLabPush((await now(id)).hookUrl, { after: next });
  expect(hooked.status).toBeLessThan(300);
  await check(id);
  await poll.run(service.app.services);
  await poll.idle();
  expect(asked()).toBe(before);
  expect(await wait()).toBeGreaterThan(580);

  // A person may ask at any time.
  await service.api('POST', `/sources/${id}/sync`);
  await check(id);
  expect(await now(id)).toMatchObject({ status: 'ok', headCommit: next, lastError: null });
});

test('a user name in the URL is left out of everything that is stored', async () => {
  const url = await host.createRepository('named', { user: 'alice', password: 'secret-password' });
  const head = await host.commit('named', folder({ vlan: 1 }));
  const withUser = url.replace('://', '://contoso@');
  const id = await add('named', withUser, { auth: { username: 'alice', password: 'secret-password' } });
  expect(await now(id)).toMatchObject({ url, auth: 'user alice' });
  await check(id);
  expect(await now(id)).toMatchObject({ status: 'ok', headCommit: head });
  expect((await service.api('PATCH', `/sources/${id}`, { url: withUser })).body).toMatchObject({ url, auth: 'user alice' });
  for (const rows of [await service.database.sql`select * from events`, await service.database.sql`select * from audit`])
    expect(JSON.stringify(rows)).not.toContain('contoso');
  for (const call of [
    service.api('POST', '/sources', { name: 'x', layout: 'repo', url: url.replace('://', '://alice:hunter2@') }),
    service.api('PATCH', `/sources/${id}`, { url: url.replace('://', '://alice:hunter2@') }),
  ]) {
    const { status, body } = await call;
    expect([status, body.code]).toEqual([400, 'invalid_url']);
    expect(body.detail).toMatch(/password; leave it out and give the source "auth"/);
    expect(JSON.stringify(body)).not.toContain('hunter2');
  }
});
