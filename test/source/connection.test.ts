import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { openService, type TestService } from '../support/service.ts';

let service: TestService;
let host: TestGitHost;
let url: string;
const auth = { username: 'ada', password: 'right-password' };
beforeAll(async () => {
  host = await openGitHost();
  service = await openService({ ROLE: 'api' });
  url = await host.createRepository('terminals', { user: auth.username, password: auth.password });
});
afterAll(async () => {
  await service.close();
  await host.close();
});

const tried = (body: Record<string, unknown>) => service.api('POST', '/sources/test', { url, auth, ...body });

test('settings are tried before a source is saved; nothing is stored', async () => {
  const commit = await host.commit('terminals', { 'a.json': '{}' });
  const { status, body } = await tried({});
  expect([status, body.ok, body.head, body.error]).toEqual([200, true, { ref: 'refs/heads/main', commit }, null]);
  expect((await service.api('GET', '/sources')).body.items).toEqual([]);
});

test('a refusal of the remote is the answer, without the credentials', async () => {
  const { status, body } = await tried({ auth: { username: 'ada', password: 'wrong-password' } });
  expect([status, body.ok, body.head]).toEqual([200, false, null]);
  expect(body.error.code).toBe('git_auth');
  expect(JSON.stringify(body)).not.toContain('wrong-password');
});

test('a ref that the remote does not have is named', async () => {
  const { body } = await tried({ ref: 'release' });
  expect([body.ok, body.error.code]).toEqual([false, 'ref_missing']);
  expect(body.error.detail).toContain('release');
});

test('an address that is no address of a repository is refused at its field', async () => {
  const answer = await tried({ url: 'ftp://git.example/x.git' });
  expect([answer.status, answer.body.code]).toEqual([400, 'invalid_url']);
  expect((await tried({ name: 'unknown field' })).status).toBe(400);
});
