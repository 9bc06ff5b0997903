import { afterAll, beforeAll, expect, test } from 'vitest';
import { hashToken, last4, mintToken } from '../../src/crypto/tokens.ts';
import { newId } from '../../src/ids.ts';
import { ensureOrganization, insertToken } from '../../src/organization/store.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { readOpenApi, type Schema } from '../support/openapi.ts';
import { SHELF } from '../support/platform.ts';
import { eventually, openService, type TestService } from '../support/service.ts';

let service: TestService;
let host: TestGitHost;
let operations: Operation[];
/** Ids of our organization for the parameters of each path, by the path's first segment or two. */
let ours: Record<string, Record<string, string>>;

type Operation = { method: string; path: string; isDevices: boolean; isForAll: boolean; body: unknown };

beforeAll(async () => {
  [service, host] = await Promise.all([openService({ RATE_LIMIT_REFUSED: '100000' }, SHELF), openGitHost()]);
  operations = await readOperations();
  ours = await populate();
});
afterAll(async () => {
  await service.close();
  await host.close();
});

async function readOperations(): Promise<Operation[]> {
  const { operations, components } = await readOpenApi(service.url);
  // Operations with the root token belong to no organization.
  const isRoot = (security: unknown) => JSON.stringify(security ?? []).includes('rootToken');
  const below = operations.filter(({ path, operation }) => path.startsWith('/api/v1/') && !isRoot(operation.security));
  return below.map(({ method, path, operation: { security, requestBody, parameters } }) => ({
    method,
    path: `${path.replace('/api/v1', '')}${queryOf(parameters, components.schemas)}`,
    isDevices: JSON.stringify(security ?? []).includes('deviceKey'),
    isForAll: security?.length === 0,
    body: requestBody === undefined ? undefined : sample(requestBody.content['application/json']?.schema ?? {}, components.schemas),
  }));
}

/** The parameters that a request must have in its query. */
function queryOf(
  parameters: readonly { name: string; in: string; required: boolean; schema: Schema }[],
  all: Record<string, Schema>,
): string {
  const needed = parameters.filter((parameter) => parameter.in === 'query' && parameter.required);
  const query = new URLSearchParams(Object.fromEntries(needed.map(({ name, schema }) => [name, String(sample(schema, all))])));
  return query.size === 0 ? '' : `?${query}`;
}

/** Returns the smallest value that the schema accepts. */
function sample(schema: Schema, all: Record<string, Schema>): unknown {
  if (schema.$ref !== undefined) return sample(all[schema.$ref.split('/').pop() ?? ''] ?? {}, all);
  const [choice] = schema.anyOf ?? schema.oneOf ?? [];
  if (choice !== undefined) return sample(choice, all);
  if (schema.allOf !== undefined) return Object.assign({}, ...schema.allOf.map((part) => sample(part, all)));
  if (schema.example !== undefined) return schema.example;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  const type = [schema.type].flat()[0];
  if (type === 'object')
    return Object.fromEntries((schema.required ?? []).map((key) => [key, sample(schema.properties?.[key] ?? {}, all)]));
  if (type === 'array') return schema.minItems ? [sample(schema.items ?? {}, all)] : [];
  if (type === 'integer' || type === 'number') return schema.minimum ?? 1;
  if (type === 'boolean') return true;
  if (schema.format === 'uuid') return newId();
  return 'x'.repeat(Math.max(1, schema.minLength ?? 1));
}

/** Creates one resource of each kind in our organization. */
async function populate(): Promise<typeof ours> {
  const { api } = service;
  const url = await host.createRepository('ours');
  const commit = await host.commit('ours', { 'app.json': '{"a":1}' });
  const source = (await api('POST', '/sources', { name: 'our-source', url, ref: 'main', layout: 'repo' })).body;
  await service.database.sql`
    insert into hook_deliveries (organization_id, source_id, delivery_id, provider, event, verdict)
    select organization_id, id, 'our-delivery', 'gitlab', 'push', 'accepted' from sources where id = ${source.id}`;
  const site = (await api('POST', '/sites', { name: 'our-site' })).body;
  await api('POST', '/devices', { id: 'our-device', sourceId: source.id, siteId: site.id });
  await eventually('the commit is prepared', async () => (await api('GET', `/sources/${source.id}`)).body.headCommit === commit);
  const revision = (await api('GET', `/sources/${source.id}/revisions`)).body.items[0];
  const command = (await api('POST', '/devices/our-device/commands', { type: 'ping' })).body;
  const token = (await api('POST', '/tokens', { name: 'our-token', role: 'viewer' })).body;
  const enrolment = (await api('POST', '/enrolment-tokens', { labels: { owner: 'our-label' } })).body;
  const deployment = await eventually('a deployment', async () => (await api('GET', '/devices/our-device/deployments')).body.items[0]);
  const notification = await postNotification();
  const rollout = await eventually(
    'a rollout',
    async () => (await service.database.sql<{ id: string }[]>`select id from rollouts limit 1`)[0],
  );
  const integration = await postIntegration();
  return {
    '/sources': { id: source.id, deliveryId: 'our-delivery' },
    '/revisions': { id: revision.id },
    '/devices': { id: 'our-device', device_id: 'our-device', command_id: command.id, view: 'our-view', deploymentId: deployment.id },
    '/devices/sites': { site_id: site.id },
    '/sites': { id: site.id },
    '/tokens': { id: token.id },
    '/enrolment-tokens': { id: enrolment.id },
    '/notifications': notification,
    '/integrations': { id: integration, deviceId: 'our-device' },
    '/conflicts': { id: await insertConflict(integration) },
    '/profile/integrations': { device_id: integration },
    '/rollouts': { id: rollout.id },
  };
}

/** An address of this machine without a listener. */
async function postNotification(): Promise<{ id: string; deliveryId: string }> {
  const settings = { name: 'our-notification', url: 'http://127.0.0.1:9/our-receiver', events: ['notification.created'] };
  const { id } = (await service.api('POST', '/notifications', settings)).body;
  const deliveryId = await eventually(
    'a delivery',
    async () => (await service.api('GET', `/notifications/${id}/deliveries`)).body.items[0]?.id,
  );
  return { id, deliveryId };
}

/** At an address of this machine without a listener. */
async function postIntegration(): Promise<string> {
  const account = { settings: { baseUrl: 'http://127.0.0.1:9/our-platform' }, credentials: { apiKey: 'our-platform-key' } };
  const answer = await service.api('POST', '/integrations', { type: 'shelf', name: 'our-integration', autoSync: false, ...account });
  await service.api('POST', `/integrations/${answer.body.id}/assignments`, { deviceId: 'our-device', externalId: 'our-external' });
  return answer.body.id;
}

async function insertConflict(slug: string): Promise<string> {
  const id = newId();
  await service.database.sql`
    insert into device_conflicts (organization_id, id, service_id, device_id, field, local, remote, state)
    select organization_id, ${id}, id, 'our-device', 'name', '"ours"', '"theirs"', 'open' from device_services where slug = ${slug} or id::text = ${slug}`;
  return id;
}

async function tokenOf(organization: string, role: 'viewer' | 'admin'): Promise<string> {
  const { sql } = service.database;
  const id = await ensureOrganization(sql, newId(), organization);
  const token = mintToken('token');
  await insertToken(sql, id, { id: newId(), name: role, role, hash: hashToken(token), last4: last4(token) });
  return token;
}

/** Leaves parameters without a known value unchanged, so that the test below fails. */
function filled(path: string): string {
  const prefixes = Object.keys(ours).filter((prefix) => path.startsWith(`${prefix}/`));
  const values = ours[prefixes.sort((a, b) => b.length - a.length)[0] ?? ''] ?? {};
  return path.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}

/** A plan is requested by POST since it is expensive, but it changes nothing. A viewer has sessions, too. */
const changes = ({ method, path }: Operation) => method !== 'GET' && path !== '/sources/{id}/plan' && !path.startsWith('/session');

test('every parameter of every operation has a value of our organization', () => {
  expect(operations.length).toBeGreaterThan(40);
  expect(operations.map(({ path }) => filled(path)).filter((path) => path.includes('{'))).toEqual([]);
});

test('every operation refuses requests without credentials', async () => {
  const stranger = service.apiAs(undefined);
  for (const { method, path, body } of operations.filter(({ isForAll }) => !isForAll)) {
    const answer = await stranger(method, filled(path), body);
    expect([method, path, answer.status, answer.body.code]).toEqual([method, path, 401, 'unauthorized']);
  }
});

test('a viewer changes nothing', async () => {
  const viewer = service.apiAs(await tokenOf('default', 'viewer'));
  const mutations = operations.filter((operation) => changes(operation) && !operation.isDevices);
  expect(mutations.length).toBeGreaterThan(15);
  for (const { method, path, body } of mutations) {
    const answer = await viewer(method, filled(path), body);
    expect([method, path, answer.status, answer.body?.code]).toEqual([method, path, 403, 'forbidden']);
  }
});

test('another organization cannot read our resources, and its requests change none of them', async () => {
  const snapshot = async () => {
    const read = [
      '/devices',
      '/sources',
      '/sites',
      '/enrolment-tokens',
      '/integrations',
      '/integrations/shelf/assignments',
      '/conflicts',
      '/devices/our-device/commands',
      '/devices/our-device/deployments',
      `/sources/${ours['/sources']?.id}/revisions`,
    ];
    return JSON.stringify(await Promise.all(read.map(async (path) => (await service.api('GET', path)).body)));
  };
  await eventually('our source is synced', async () => {
    const first = await snapshot();
    return first === (await snapshot()) ? first : undefined;
  });
  const before = await snapshot();
  const other = service.apiAs(await tokenOf('others', 'admin'));
  const named = operations.filter(({ path, isDevices }) => path.includes('{') && !isDevices);
  expect(named.length).toBeGreaterThan(25);
  for (const { method, path, body } of named) {
    const answer = await other(method, filled(path), body);
    expect([method, path, answer.status, answer.body?.code]).toEqual([method, path, 404, 'not_found']);
  }
  const secrets = [...Object.values(ours).flatMap((values) => Object.values(values)), 'our-'];
  for (const { method, path, body } of operations.filter((operation) => !operation.path.includes('{') && !operation.isDevices)) {
    const answer = await other(method, path, body);
    expect(answer.status, `${method} ${path} ${JSON.stringify(answer.body)}`).toBeLessThan(500);
    for (const secret of secrets) expect(JSON.stringify(answer.body ?? ''), `${method} ${path}`).not.toContain(secret);
  }
  expect(await snapshot()).toBe(before);
});

test('ids in a body must belong to the same organization', async () => {
  const other = service.apiAs(await tokenOf('others', 'admin'));
  const sourceId = ours['/sources']?.id;
  const siteId = ours['/devices/sites']?.site_id;
  await other('POST', '/devices', { id: 'theirs' });
  const attempts: [string, string, Record<string, unknown>][] = [
    ['POST', '/devices', { id: 'thief', sourceId }],
    ['POST', '/devices', { id: 'thief', siteId }],
    ['PATCH', '/devices/theirs', { sourceId }],
    ['PATCH', '/devices/theirs', { siteId }],
    ['POST', '/enrolment-tokens', { sourceId }],
    ['POST', '/enrolment-tokens', { siteId }],
  ];
  for (const [method, path, body] of attempts) {
    const answer = await other(method, path, body);
    expect([method, path, Object.keys(body), answer.status, answer.body.code]).toEqual([
      method,
      path,
      Object.keys(body),
      400,
      'invalid_request',
    ]);
  }
});

test('a device key gives no access to another device or organization', async () => {
  const other = service.apiAs(await tokenOf('others', 'admin'));
  const { apiKey } = (await other('POST', '/devices', { id: 'our-device' })).body;
  const thief = service.apiAs(undefined);
  const headers = { 'x-device-id': 'our-device', 'x-api-key': apiKey as string };
  expect((await thief('GET', '/devices/pending', undefined, headers)).body).toEqual([]);
  const command = ours['/devices']?.command_id;
  expect((await thief('POST', `/devices/our-device/commands/${command}/ack`, undefined, headers)).status).toBe(404);
  expect((await thief('PUT', `/devices/our-device/commands/${command}/status`, { status: 'completed' }, headers)).status).toBe(404);
});
