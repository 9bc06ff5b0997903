import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { io } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../cli/server.ts';
import { postGitLabPush, SIGNING_TOKEN } from '../support/hooks.ts';
import { type Api, openService, type TestService } from '../support/service.ts';

let service: TestService;
let root: Api;
let rootToken: string;
beforeAll(async () => {
  service = await openService({ ROLE: 'api', RATE_LIMIT_REFUSED: '1000' });
  rootToken = (await readFile(join(service.dataDir, 'root-token'), 'utf8')).trim();
  root = service.apiAs(rootToken);
});
afterAll(() => service.close());

async function made(name: string): Promise<{ id: string; admin: Api; adminToken: string }> {
  const { status, body } = await root('POST', '/organizations', { name });
  expect([status, body]).toEqual([
    201,
    {
      id: expect.any(String),
      name,
      createdAt: expect.any(String),
      disabledAt: null,
      adminToken: expect.stringMatching(/^bwt_/),
      adminTokenId: expect.any(String),
    },
  ]);
  return { id: body.id, admin: service.apiAs(body.adminToken), adminToken: body.adminToken };
}

test('the root token stands beside the data, for its owner only', async () => {
  expect(rootToken).toMatch(/^bwr_[\w-]{43}$/);
  expect((await stat(join(service.dataDir, 'root-token'))).mode & 0o777).toBe(0o600);
});

test('an organization is made with its first admin token, apart from all others, and its audit log says so', async () => {
  const { admin } = await made('apart');
  await service.api('POST', '/devices', { id: 'ours' });
  expect((await admin('GET', '/devices')).body.items).toEqual([]);
  expect((await admin('GET', '/devices/ours')).status).toBe(404);
  expect((await admin('POST', '/devices', { id: 'ours' })).status).toBe(201);
  const acts = (await admin('GET', '/audit')).body.items.map(({ actor, action }: Record<string, string>) => [actor, action]);
  expect(acts.slice(-2)).toEqual([
    ['root', 'token.create'],
    ['root', 'organization.create'],
  ]);
  const ofDefault = (await service.api('GET', '/audit')).body.items;
  expect(ofDefault.filter(({ actor }: Record<string, string>) => actor === 'root')).toEqual([]);
});

test('a token is shown once', async () => {
  const { adminToken } = await made('once');
  const shown = JSON.stringify([
    await root('GET', '/organizations'),
    await service.apiAs(adminToken)('GET', '/tokens'),
    await service.apiAs(adminToken)('GET', '/audit'),
  ]);
  expect(shown).not.toContain(adminToken);
});

test('organizations are listed page by page', async () => {
  for (const name of ['b-1', 'a-2', 'b']) await made(name);
  const walked: string[] = [];
  for (
    let page = (await root('GET', '/organizations?limit=1')).body;
    ;
    page = (await root('GET', `/organizations?limit=1&cursor=${page.nextCursor}`)).body
  ) {
    walked.push(...page.items.map(({ name }: { name: string }) => name));
    if (page.nextCursor === null) break;
  }
  expect(walked).toEqual(expect.arrayContaining(['a-2', 'b', 'b-1', 'default']));
  expect(walked).toEqual(walked.toSorted());
  expect(new Set(walked).size).toBe(walked.length);
});

test('a name that is taken, or is none, is refused and leaves nothing', async () => {
  const names = async () => (await root('GET', '/organizations?limit=500')).body.items.length;
  const before = await names();
  expect(await root('POST', '/organizations', { name: 'default' })).toMatchObject({ status: 409, body: { code: 'name_taken' } });
  for (const name of ['', 'Über', '-a', 'a b', 'x'.repeat(64), 'a\0'])
    expect(await root('POST', '/organizations', { name })).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
  expect(await names()).toBe(before);
});

test('nobody but the root token makes, lists or disables organizations; the root token opens nothing else', async () => {
  const { admin } = await made('not-root');
  for (const api of [admin, service.api, service.apiAs(undefined), service.apiAs(`bwr_${'x'.repeat(43)}`)])
    for (const [method, path] of [
      ['GET', '/organizations'],
      ['POST', '/organizations'],
      ['POST', '/organizations/default/disable'],
      ['POST', '/organizations/default/enable'],
      ['POST', '/organizations/default/admin-tokens'],
    ] as const)
      expect(await api(method, path, method === 'POST' ? { name: 'stolen' } : undefined)).toMatchObject({
        status: 401,
        body: { code: 'unauthorized' },
      });
  expect((await root('GET', '/devices')).status).toBe(401);
});

test('a disabled organization is refused at every door until it is enabled again; others go on', async () => {
  const { admin, adminToken } = await made('paused');
  const webhook = { provider: 'gitlab', secret: SIGNING_TOKEN };
  const { hookUrl } = (await admin('POST', '/sources', { name: 's', url: 'https://example.com/a.git', layout: 'repo', webhook })).body;
  const { apiKey } = (await admin('POST', '/devices', { id: 'till' })).body;
  const enrolment = (await admin('POST', '/enrolment-tokens', { uses: 2 })).body.token;
  const enrol = (deviceId: string) =>
    fetch(`${service.url}/agent/v1/enroll`, {
      method: 'POST',
      headers: { authorization: `Bearer ${enrolment}`, 'content-type': 'application/json' },
      body: JSON.stringify({ deviceId }),
    });
  const doors = async (n: number) => [
    (await admin('GET', '/devices')).status,
    (await fetch(`${service.url}/agent/v1/keys`, { headers: { 'x-device-id': 'till', 'x-api-key': apiKey } })).status,
    (await enrol(`new-${n}`)).status,
    (await postGitLabPush(hookUrl, { after: String(n).repeat(40) })).status,
  ];
  expect(await doors(1)).toEqual([200, 200, 201, 202]);
  const live = io(`${service.url}/live`, { auth: { token: adminToken }, transports: ['websocket'], reconnection: false, forceNew: true });
  await new Promise<void>((resolve) => live.once('connect', () => resolve()));
  const ended = new Promise((resolve) => live.once('disconnect', resolve));
  expect(await root('POST', '/organizations/paused/disable')).toMatchObject({
    status: 200,
    body: { name: 'paused', disabledAt: expect.any(String) },
  });
  await ended;
  // The process hears of it as every other one does.
  await expect.poll(() => doors(2)).toEqual([401, 401, 401, 404]);
  expect((await service.api('GET', '/devices')).status).toBe(200);
  expect(await root('POST', '/organizations/paused/enable')).toMatchObject({ status: 200, body: { disabledAt: null } });
  expect(await doors(3)).toEqual([200, 200, 201, 202]);
});

test('the last admin token cannot be revoked, also not by two at once; root makes another one', async () => {
  const { admin } = await made('last');
  const tokens = async () => (await admin('GET', '/tokens')).body.items as { id: string; role: string }[];
  const [first] = await tokens();
  await admin('POST', '/tokens', { name: 'viewer', role: 'viewer' });
  expect(await admin('DELETE', `/tokens/${first?.id}`)).toMatchObject({ status: 409, body: { code: 'last_admin' } });
  const second = (await root('POST', '/organizations/last/admin-tokens')).body;
  const answers = await Promise.all(
    [first?.id, second.adminTokenId].map((id) => service.apiAs(second.adminToken)('DELETE', `/tokens/${id}`)),
  );
  expect(answers.filter(({ status }) => status === 204)).toHaveLength(1);
  const left = (
    await service.database.sql`
    select 1 from tokens t join organizations o on o.id = t.organization_id where o.name = 'last' and role = 'admin' and revoked_at is null`
  ).length;
  expect(left).toBe(1);
});

test('the command line does all of it, with the token beside the data or in the environment', async () => {
  const env = { BELLWETHER_SERVER: service.url, DATA_DIR: service.dataDir };
  const bellwether = (args: string, also: Record<string, string> = {}) => run(args.split(' '), { ...env, ...also });
  const created = await bellwether('organizations create by-hand --json');
  expect([created.code, created.err]).toEqual([0, '']);
  expect((await service.apiAs(JSON.parse(created.out).adminToken)('GET', '/tokens')).status).toBe(200);
  expect((await bellwether('organizations')).out).toContain('by-hand');
  expect((await bellwether('organizations disable by-hand')).code).toBe(0);
  expect((await service.apiAs(JSON.parse(created.out).adminToken)('GET', '/tokens')).status).toBe(401);
  expect((await bellwether('organizations enable by-hand', { DATA_DIR: '/nowhere', BELLWETHER_ROOT_TOKEN: rootToken })).code).toBe(0);
  expect(JSON.parse((await bellwether('organizations admin-token by-hand --json')).out).adminToken).toMatch(/^bwt_/);
  const lost = await bellwether('organizations', { DATA_DIR: '/nowhere' });
  expect([lost.code, lost.err]).toEqual([2, expect.stringContaining('BELLWETHER_ROOT_TOKEN')]);
});

test('a refused token is told by its kind and by where the command line found it', async () => {
  const env = { BELLWETHER_SERVER: service.url, DATA_DIR: service.dataDir };
  const { adminToken } = await made('told');
  const withAdmin = await run(['organizations'], { ...env, BELLWETHER_ROOT_TOKEN: adminToken });
  expect(withAdmin.code).toBe(1);
  expect(withAdmin.err).toContain('the token sent is an API token, which opens one organization alone');
  expect(withAdmin.err).toContain(`${service.url} refused the token from BELLWETHER_ROOT_TOKEN\n`);
  const withRoot = await run(['devices', 'list', '--token', rootToken], env);
  expect(withRoot.err).toContain('the token sent is a root token, which opens /api/v1/organizations alone');
  expect(withRoot.err).toContain('refused the token from --token\n');
  const dataDir = join(service.dataDir, 'of-another');
  await mkdir(dataDir);
  await writeFile(join(dataDir, 'root-token'), `bwr_${'x'.repeat(43)}\n`);
  const withOther = await run(['organizations'], { ...env, DATA_DIR: dataDir });
  expect(withOther.err).toContain(`refused the token from the file ${join(dataDir, 'root-token')}\n`);
  expect(withAdmin.err + withRoot.err + withOther.err).not.toMatch(/bw[rt]_/);
});

test('a configured root token is the only one; a damaged file stops the start with its name', async () => {
  const configured = 'a-root-token-of-more-than-32-characters';
  await using other = await openService({ ROLE: 'api', BELLWETHER_ROOT_TOKEN: configured });
  expect((await other.apiAs(configured)('GET', '/organizations')).status).toBe(200);
  await writeFile(join(other.dataDir, 'root-token'), 'short\n');
  await expect(openService({ ROLE: 'api', DATA_DIR: other.dataDir })).rejects.toThrow('root-token');
});
