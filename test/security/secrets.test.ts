import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSecretBox } from '../../src/crypto/secret-box.ts';
import { loadSecretKeys } from '../../src/crypto/secret-key.ts';
import { hashToken, last4, mintToken } from '../../src/crypto/tokens.ts';
import { newId } from '../../src/ids.ts';
import { ensureOrganization, insertToken } from '../../src/organization/store.ts';
import { readOperations } from '../fuzz/description.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { type ServiceProcess, startServiceProcess } from '../support/service-process.ts';
import { commandLine, database as databaseOutput, files, listen, readAll } from './outputs.ts';
import { createPlants } from './plants.ts';
import { DEVICE, playScenario, type Scenario } from './scenario.ts';

/** Every secret of the scenario, looked for in everything that leaves the service or stays on its disks. */
const plants = createPlants();
const log: string[] = [];
let database: TestDatabase;
let host: TestGitHost;
let service: ServiceProcess;
let scenario: Scenario;
let live: Awaited<ReturnType<typeof listen>>;
let dataDir: string;
let secretKey: string;

beforeAll(async () => {
  [database, host, dataDir] = await Promise.all([openTestDatabase(), openGitHost(), mkdtemp(join(tmpdir(), 'bellwether-secrets-'))]);
  secretKey = plants.add('secret key', randomBytes(32).toString('base64'));
  const admin = plants.add('admin token', mintToken('token'));
  const databaseUrl = new URL(database.url);
  databaseUrl.password = plants.plant('database password');
  const env = {
    DATA_DIR: dataDir,
    DATABASE_URL: databaseUrl.href,
    BELLWETHER_ADMIN_TOKEN: admin,
    BELLWETHER_SECRET_KEY: secretKey,
    ALLOW_PRIVATE_NOTIFICATION_HOSTS: 'true',
    ALLOW_PRIVATE_INTEGRATION_HOSTS: 'true',
    LOG_LEVEL: 'trace',
  };
  service = await startServiceProcess(env, (line) => log.push(line));
  live = await listen(service.url, admin, ['devices', 'integrations', 'events', `device:${DEVICE}`]);
  scenario = await playScenario(service.url, host, plants, { admin, stranger: await strangersToken() });
  plants.add('signing key', await signingKey());
});
afterAll(async () => {
  live?.close();
  await service?.close();
  await host.close();
  await database.close();
  await rm(dataDir, { recursive: true, force: true });
});

async function strangersToken(): Promise<string> {
  const token = plants.add('token of another organization', mintToken('token'));
  const id = await ensureOrganization(database.sql, newId(), 'strangers');
  await insertToken(database.sql, id, { id: newId(), name: 'stranger', role: 'admin', hash: hashToken(token), last4: last4(token) });
  return token;
}

/** The private half of the key that signs what devices are told. */
async function signingKey(): Promise<string> {
  const box = openSecretBox(await loadSecretKeys({ value: secretKey, dataDir }));
  const [row] = await database.sql<{ organizationId: string; kid: string; sealed: string }[]>`
    select organization_id as "organizationId", kid, private_sealed as sealed from signing_keys limit 1`;
  const jwk = JSON.parse(box.open(row?.sealed ?? '', `signing-key:${row?.organizationId}:${row?.kid}`));
  expect(jwk.d).toMatch(/^[\w-]{43}$/);
  return jwk.d;
}

const filePlants = () => plants.names().filter((name) => name.startsWith('file '));

test('the search finds what is there: in the answers of a device, which gets its own files and commands', async () => {
  expect(plants.names().length).toBeGreaterThan(50);
  for (const encoding of ['base64', 'hex', 'utf8'] as const) {
    const hidden = Buffer.from(`oauth2:${scenario.tokens.viewer} and more`).toString(encoding);
    expect(plants.foundIn(`{"x":"${hidden}"}`)).toEqual(['viewer token']);
  }
  const operations = (await readOperations(service.url)).filter(({ method, credentials }) => method === 'GET' && credentials === 'device');
  const caller = { name: 'device', headers: scenario.deviceKey, adminToken: scenario.tokens.admin };
  const { found } = await readAll(service.url, operations, caller, plants);
  expect(Object.keys(found).sort()).toEqual(
    ['device GET /api/v1/devices/pending', 'device GET /agent/v1/desired', 'device GET /agent/v1/bundles/{digest}'].sort(),
  );
  const commands = ['command URL', 'command key', 'command password'];
  expect(found['device GET /api/v1/devices/pending']).toEqual(commands);
  expect(found['device GET /agent/v1/desired']).toEqual(commands);
  expect(found['device GET /agent/v1/bundles/{digest}']).toEqual(
    filePlants()
      .filter((name) => / v[12]$/.test(name))
      .sort(),
  );
});

test('no answer to any GET, for any role, has a secret', async () => {
  const operations = (await readOperations(service.url)).filter(({ method, credentials }) => method === 'GET' && credentials !== 'device');
  for (const [name, token] of Object.entries(scenario.tokens)) {
    const caller = { name, headers: { authorization: `Bearer ${token}` }, adminToken: scenario.tokens.admin };
    const { found, read } = await readAll(service.url, operations, caller, plants);
    expect(found).toEqual({});
    if (name === 'admin') expect(read).toBeGreaterThan(operations.length);
  }
});

test('no refusal repeats a secret that was in the request', () => {
  expect(scenario.said.length).toBeGreaterThan(15);
  for (const { what, text } of scenario.said) expect([what, plants.foundIn(text)]).toEqual([what, []]);
});

test('no live event has a secret', () => {
  const text = live.text();
  for (const type of ['source.failed', 'revision.rejected', 'deployment.state', 'command.queued', 'device_update'])
    expect(text).toContain(type);
  expect(plants.foundIn(text)).toEqual([]);
});

test('no command line prints a secret that is not shown once', async () => {
  const { items } = await scenario.admin('GET', '/api/v1/sources');
  const ids = Array.isArray(items) ? items.map(({ id }) => String(id)) : [];
  const commands = [
    ...['devices', 'sources', 'sites', 'tokens', 'audit', 'events'].map((name) => [name]),
    ['audit', 'export'],
    ...['show', 'why', 'logs', 'preview'].map((name) => ['devices', name, DEVICE]),
    ['devices', 'preview', DEVICE, '--ref', 'next'],
    ...ids.flatMap((id) => [
      ['sources', 'show', id],
      ['sources', 'test', id],
      ['revisions', 'list', id],
    ]),
  ];
  expect(await commandLine(service.url, scenario.tokens.admin, commands, plants)).toEqual({});
});

test('the database holds in clear only what devices need: their files, their commands, and what they answered', async () => {
  expect(await databaseOutput(database.url, plants)).toEqual({
    'public.blobs.content': filePlants()
      .filter((name) => / v[12]$/.test(name))
      .sort(),
    'public.commands.payload': ['command URL', 'command key', 'command password'],
    'public.commands.result': ['command result'],
  });
});

test('below the data directory only workspaces hold what devices get, and nothing holds another secret', async () => {
  const found = await files(dataDir, plants);
  expect(Object.keys(found)).toEqual(['workspaces']);
  expect(found.workspaces?.filter((name) => !name.startsWith('file '))).toEqual([]);
});

test('the log at its most talkative, to the end of the process, has no secret', async () => {
  await service.close();
  const text = log.join('\n');
  for (const part of ['"level":"debug"', '"msg":"request"', 'request rejected: a value cannot be stored', '"msg":"stopped"'])
    expect(text).toContain(part);
  expect(plants.foundIn(text)).toEqual([]);
});
