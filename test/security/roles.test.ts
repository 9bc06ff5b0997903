import { afterAll, beforeAll, expect, test } from 'vitest';
import { hashToken, last4, mintToken } from '../../src/crypto/tokens.ts';
import { newId } from '../../src/ids.ts';
import { ROLES, type Role } from '../../src/organization/organization.ts';
import { ensureOrganization, insertToken } from '../../src/organization/store.ts';
import { type Operation, readOperations } from '../fuzz/description.ts';
import { openService, type TestService } from '../support/service.ts';

/** What even an operator may not do, or see. */
const ADMINS_ONLY = [
  'GET /api/v1/tokens',
  'POST /api/v1/tokens',
  'DELETE /api/v1/tokens/{id}',
  'GET /api/v1/audit',
  'GET /api/v1/audit/export',
];
/** A question with a body: it changes nothing. */
const ASKED_BY_POST = ['POST /api/v1/sources/{id}/plan'];
/** What concerns the own session alone. */
const OWN = ['DELETE /api/v1/session', 'POST /api/v1/session-links'];
/** For all: each says itself what it takes. */
const FOR_ALL = [
  'POST /api/v1/session',
  'GET /api/v1/login-methods',
  'GET /agent/v1/time',
  'POST /hooks/{sourceId}',
  'GET /health',
  'GET /health/ready',
  'GET /health/live',
  'GET /metrics',
];

let service: TestService;
let operations: Operation[];
const tokens = {} as Record<Role, string>;
let device: Record<string, string>;
let enrolment: string;

beforeAll(async () => {
  service = await openService({ ROLE: 'api', RATE_LIMIT_REFUSED: '100000' });
  operations = await readOperations(service.url);
  for (const role of ROLES) tokens[role] = await tokenOf('default', role);
  const { apiKey } = (await service.api('POST', '/devices', { id: 'till' })).body;
  device = { 'x-device-id': 'till', 'x-api-key': apiKey };
  enrolment = (await service.api('POST', '/enrolment-tokens', {})).body.token;
});
afterAll(() => service.close());

async function tokenOf(organization: string, role: Role): Promise<string> {
  const { sql } = service.database;
  const token = mintToken('token');
  const id = await ensureOrganization(sql, newId(), organization);
  await insertToken(sql, id, { id: newId(), name: role, role, hash: hashToken(token), last4: last4(token) });
  return token;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** Names nothing that there is, and sends nothing that would be taken: who may ask is decided before. */
async function ask({ method, path }: Operation, headers: Record<string, string>): Promise<{ status: number; code: string | undefined }> {
  const filled = path.replace(/\{\w+\}/g, newId());
  const body = method === 'GET' || method === 'DELETE' ? {} : { body: '"nothing"' };
  const response = await fetch(service.url + filled, { method, headers: { 'content-type': 'application/json', ...headers }, ...body });
  const text = await response.text();
  const code = response.ok ? undefined : (JSON.parse(text).code as string);
  return { status: response.status, code };
}

test('every operation says whose credentials it takes; few take none', () => {
  expect(operations.filter(({ credentials }) => credentials === 'none').map(({ name }) => name)).toEqual(FOR_ALL);
});

test('role by role: a viewer only reads, an operator changes things, and what concerns everybody’s access is for admins', async () => {
  const lowest = new Map<string, Role | undefined>();
  for (const operation of operations.filter(({ credentials }) => credentials === 'bearer')) {
    const refused = await Promise.all(ROLES.map(async (role) => (await ask(operation, bearer(tokens[role]))).code === 'forbidden'));
    const first = refused.indexOf(false);
    // Who may do something, all above may do.
    expect([operation.name, refused.lastIndexOf(true) < first]).toEqual([operation.name, true]);
    lowest.set(operation.name, ROLES[first]);
  }
  expect(lowest.size).toBeGreaterThan(45);
  const of = (role: Role) => [...lowest].filter(([, found]) => found === role).map(([name]) => name);
  expect(of('admin')).toEqual(expect.arrayContaining(ADMINS_ONLY));
  expect(of('viewer').filter((name) => !name.startsWith('GET ') && ![...ASKED_BY_POST, ...OWN].includes(name))).toEqual([]);
  expect(of('operator').length).toBeGreaterThan(20);
});

test('no operation takes credentials that are missing, revoked, made up, or meant for something else', async () => {
  const revoked = (await service.api('POST', '/tokens', { name: 'revoked', role: 'admin' })).body;
  await service.api('DELETE', `/tokens/${revoked.id}`);
  const apiKey = device['x-api-key'] ?? '';
  const others: Record<Operation['credentials'], Record<string, string>[]> = {
    bearer: [
      {},
      bearer(revoked.token),
      bearer(mintToken('token')),
      bearer(apiKey),
      bearer(enrolment),
      device,
      { authorization: `Basic ${tokens.admin}` },
    ],
    device: [
      {},
      bearer(tokens.admin),
      bearer(apiKey),
      { ...device, 'x-api-key': tokens.admin },
      { ...device, 'x-api-key': mintToken('device') },
      { ...device, 'x-device-id': 'another' },
      { 'x-api-key': apiKey },
      { 'x-device-id': 'till' },
    ],
    enrolment: [],
    root: [{}, bearer(tokens.admin), bearer(tokens.viewer), bearer(apiKey), bearer(mintToken('root')), device],
    none: [],
  };
  let asked = 0;
  for (const operation of operations) {
    for (const headers of others[operation.credentials]) {
      expect([operation.name, headers, await ask(operation, headers)]).toEqual([
        operation.name,
        headers,
        { status: 401, code: 'unauthorized' },
      ]);
      asked += 1;
    }
  }
  expect(asked).toBeGreaterThan(400);
});

test('only an enrolment token enrols', async () => {
  const enrol = async (headers: Record<string, string>) => {
    const body = JSON.stringify({ deviceId: 'new' });
    const response = await fetch(`${service.url}/agent/v1/enroll`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });
    const { code } = (await response.json()) as { code?: string };
    return [response.status, code];
  };
  for (const headers of [{}, bearer(tokens.admin), bearer(device['x-api-key'] ?? ''), device])
    expect(await enrol(headers)).toEqual([401, 'unauthorized']);
  expect((await enrol(bearer(enrolment)))[0]).toBe(201);
});

test('beside /api/v1, too, nothing of ours is there for another organization', async () => {
  const stranger = bearer(await tokenOf('others', 'admin'));
  const older = operations.filter(({ path }) => path.startsWith('/api/devices/{id}/'));
  expect(older.length).toBeGreaterThan(4);
  for (const { name, method, path } of older) {
    const response = await fetch(service.url + path.replace('{id}', 'till'), { method, headers: stranger });
    expect([name, response.status]).toEqual([name, 404]);
  }
  expect(await (await fetch(`${service.url}/api/devices`, { headers: stranger })).json()).toEqual([]);
  const digest = 'a'.repeat(64);
  await service.database.sql`
    insert into bundles (organization_id, digest, manifest, size)
    select id, ${digest}, '{"apiVersion":"bellwether/v1","kind":"Bundle","files":[],"apply":{}}', 0 from organizations where name = 'default'`;
  const theirs = (await service.apiAs(stranger.authorization.slice('Bearer '.length))('POST', '/devices', { id: 'till' })).body;
  const bundle = (headers: Record<string, string>) => fetch(`${service.url}/agent/v1/bundles/${digest}`, { headers });
  expect((await bundle(device)).status).toBe(200);
  expect((await bundle({ 'x-device-id': 'till', 'x-api-key': theirs.apiKey })).status).toBe(404);
});
