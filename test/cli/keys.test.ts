import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { registerKeysCommands, rotateKeys } from '../../src/cli/keys.ts';
import { type Config, readConfig } from '../../src/config.ts';
import { openSecretBox, type SecretKey } from '../../src/crypto/secret-box.ts';
import { addSecretKey, loadSecretKeys, readSecretKeys, SECRET_KEY_FILE } from '../../src/crypto/secret-key.ts';
import { connect } from '../../src/db/connect.ts';
import { openEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { newId } from '../../src/ids.ts';
import {
  openCredentials as openIntegrationCredentials,
  openHookSecret as openIntegrationHookSecret,
} from '../../src/integration/credentials.ts';
import { integrationById } from '../../src/integration/store/services.ts';
import { createLog } from '../../src/log.ts';
import { createSigner } from '../../src/organization/signing.ts';
import { ensureOrganization } from '../../src/organization/store.ts';
import { openApiToken, openCredentials, openHookSecret } from '../../src/source/credentials.ts';
import { sourceById } from '../../src/source/store.ts';
import { SHELF, SHELF_KEY } from '../support/platform.ts';
import { openService, type TestService } from '../support/service.ts';

let service: TestService;
beforeEach(async () => {
  service = await openService({ ROLE: 'api' }, SHELF);
});
afterEach(() => service.close());

const configOf = (env: Record<string, string> = {}): Config =>
  readConfig({ DATA_DIR: service.dataDir, DATABASE_URL: service.database.url, ...env });

async function createSource(name: string, api = service.api): Promise<string> {
  const answer = await api('POST', '/sources', {
    name,
    url: `http://127.0.0.1:9/${name}.git`,
    layout: 'repo',
    auth: { token: `git-token-of-${name}` },
    webhook: { provider: 'github', secret: `hook-secret-of-${name}` },
  });
  expect(answer.status).toBe(201);
  return answer.body.id;
}

/** The source's secrets, opened with these keys alone. */
async function secretsOf(id: string, keys: readonly SecretKey[]) {
  const box = openSecretBox(keys);
  const source = await sourceById(service.database.sql, id);
  if (source === undefined) throw new Error(`no source ${id}`);
  return { auth: openCredentials(box, source), hook: openHookSecret(box, source) };
}

const secrets = (name: string) => ({ auth: { token: `git-token-of-${name}` }, hook: `hook-secret-of-${name}` });

async function signed(): Promise<string> {
  const [row] = await service.database.sql<[{ sealed: string; context: string }]>`
    select private_sealed as sealed, 'signing-key:' || organization_id || ':' || kid as context from signing_keys`;
  return openSecretBox(readSecretKeys(service.dataDir)).open(row.sealed, row.context);
}

test('everything is sealed with a new key, which is then the only one; the running service goes on with it', async () => {
  const { sql } = service.database;
  const before = await loadSecretKeys({ dataDir: service.dataDir });
  const id = await createSource('tills');
  const [{ id: organizationId }] = await sql<[{ id: string }]>`select id from organizations`;
  const [publicKey] = await service.app.services.signer.publicKeys(organizationId);
  const privateKey = await signed();
  await service.api('POST', '/sites', { name: 'Bern' }, { 'idempotency-key': 'once' });

  expect(await rotateKeys(configOf(), 0)).toEqual({ resealed: 3, dropped: 1, unreadable: [] });

  const after = readSecretKeys(service.dataDir);
  expect(after).toHaveLength(1);
  expect(after[0]?.id).not.toBe(before[0]?.id);
  expect(await secretsOf(id, after)).toEqual(secrets('tills'));
  await expect(secretsOf(id, before)).rejects.toThrow(expect.objectContaining({ code: 'secret_unreadable' }));
  expect(await signed()).toBe(privateKey);
  expect(await service.app.services.signer.publicKeys(organizationId)).toEqual([publicKey]);
  expect(await sql`select 1 from idempotency_keys`).toHaveLength(0);

  // The service has not been told: it opens what is there, and seals what comes with the new key.
  const source = await sourceById(sql, id);
  expect(openCredentials(service.app.services.box, source!)).toEqual(secrets('tills').auth);
  expect(await secretsOf(await createSource('later'), after)).toEqual(secrets('later'));
});

test('a token for the API of a git host is sealed anew as well', async () => {
  const id = await createSource('tills');
  await service.api('PATCH', `/sources/${id}`, { apiToken: 'api-token-of-tills' });
  expect(await rotateKeys(configOf(), 0)).toMatchObject({ resealed: 3, unreadable: [] });
  const source = await sourceById(service.database.sql, id);
  expect(openApiToken(openSecretBox(readSecretKeys(service.dataDir)), source!)).toBe('api-token-of-tills');
});

test('the secrets of an integration are sealed anew as well', async () => {
  const account = { settings: { baseUrl: 'http://127.0.0.1:9' }, credentials: { apiKey: SHELF_KEY } };
  const { id } = (await service.api('POST', '/integrations', { type: 'shelf', ...account })).body;
  const { secret } = (await service.api('POST', '/integrations/shelf/hook-secret', {})).body;
  expect(await rotateKeys(configOf(), 0)).toMatchObject({ resealed: 2, unreadable: [] });
  const box = openSecretBox(readSecretKeys(service.dataDir));
  const integration = await integrationById(service.database.sql, id);
  expect(openIntegrationCredentials(box, integration!)).toEqual({ apiKey: SHELF_KEY });
  expect(openIntegrationHookSecret(box, integration!)).toBe(secret);
});

test('a service that seals all the while loses nothing', async () => {
  const ids: [string, string][] = [];
  let rotating = true;
  const rotation = rotateKeys(configOf(), 500).finally(() => {
    rotating = false;
  });
  for (let at = 0; rotating; at += 1) ids.push([`busy-${at}`, await createSource(`busy-${at}`)]);
  await rotation;
  expect(ids.length).toBeGreaterThan(3);
  const keys = readSecretKeys(service.dataDir);
  expect(keys).toHaveLength(1);
  for (const [name, id] of ids) expect(await secretsOf(id, keys)).toEqual(secrets(name));
});

test('more than a batch is sealed anew, and only what is not', async () => {
  const { sql } = service.database;
  const id = await createSource('first');
  const box = openSecretBox(readSecretKeys(service.dataDir));
  const copies = Array.from({ length: 450 }, (_, at) => `00000000-0000-7000-8000-${String(at).padStart(12, '0')}`);
  const sealed = copies.map((copy) => box.seal('{"token":"t"}', `source:${copy}:auth`));
  await sql`
    insert into sources
    select (jsonb_populate_record(s, jsonb_build_object('id', c.id, 'name', 'copy-' || c.id, 'auth_sealed', c.sealed,
      'webhook_provider', null, 'webhook_secret_sealed', null, 'webhook_secret_last4', null))).*
    from sources s, unnest(${copies}::text[], ${sealed}::text[]) as c (id, sealed) where s.id = ${id}`;
  expect((await rotateKeys(configOf(), 0)).resealed).toBe(452);
  const keys = readSecretKeys(service.dataDir);
  for (const copy of [copies[0]!, copies[449]!]) expect((await secretsOf(copy, keys)).auth).toEqual({ token: 't' });
});

test('a rotation that was cut off after its key was added is finished by the next', async () => {
  const id = await createSource('tills');
  const [, old] = await addSecretKey(service.dataDir);
  expect(await secretsOf(await createSource('between'), readSecretKeys(service.dataDir))).toEqual(secrets('between'));
  expect((await rotateKeys(configOf(), 0)).resealed).toBe(4);
  const keys = readSecretKeys(service.dataDir);
  expect(keys.map((key) => key.id)).not.toContain(old?.id);
  expect(await secretsOf(id, keys)).toEqual(secrets('tills'));
});

test('a secret that no key opens is named, and stops nothing', async () => {
  const { sql } = service.database;
  const [lost, kept] = [await createSource('lost'), await createSource('kept')];
  await sql`update sources set auth_sealed = 'v1.0123456789abcdef.AAAA' where id = ${lost}`;
  expect(await rotateKeys(configOf(), 0)).toMatchObject({ resealed: 3, unreadable: [`source:${lost}:auth`] });
  expect(await secretsOf(kept, readSecretKeys(service.dataDir))).toEqual(secrets('kept'));
});

test('while another rotation is under way nothing changes', async () => {
  const path = join(service.dataDir, SECRET_KEY_FILE);
  const before = await readFile(path, 'utf8');
  const held = await service.database.sql.reserve();
  await held`select pg_advisory_lock(7236002)`;
  await expect(rotateKeys(configOf(), 0)).rejects.toThrow(expect.objectContaining({ code: 'rotation_in_progress' }));
  await held`select pg_advisory_unlock(7236002)`;
  held.release();
  expect(await readFile(path, 'utf8')).toBe(before);
});

test('configured keys: the first of the list seals, a service with the list reads both, and no file is made', async () => {
  const [old, fresh] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];
  await service.close();
  service = await openService({ ROLE: 'api', BELLWETHER_SECRET_KEY: `${old},${fresh}` });
  const id = await createSource('tills');
  const keys = (value: string) => loadSecretKeys({ value, dataDir: service.dataDir });
  expect(await secretsOf(id, await keys(old))).toEqual(secrets('tills'));
  expect((await rotateKeys(configOf({ BELLWETHER_SECRET_KEY: `${fresh},${old}` }), 0)).resealed).toBe(2);
  expect(await secretsOf(id, await keys(fresh))).toEqual(secrets('tills'));
  const source = await sourceById(service.database.sql, id);
  expect(openCredentials(service.app.services.box, source!)).toEqual(secrets('tills').auth);
  await expect(readFile(join(service.dataDir, SECRET_KEY_FILE))).rejects.toThrow(/ENOENT/);
});

test('every column of the database that holds something sealed is one that a rotation knows', async () => {
  const columns = await service.database.sql<{ name: string }[]>`
    select table_name || '.' || column_name as name from information_schema.columns
    where table_schema = 'public' and column_name like '%\\_sealed' order by 1`;
  expect(columns.map(({ name }) => name)).toEqual([
    'device_pushes.prepared_sealed',
    'device_services.credentials_sealed',
    'device_services.hook_secret_sealed',
    'idempotency_keys.answer_sealed',
    'notifications.previous_secret_sealed',
    'notifications.secret_sealed',
    'notifications.url_sealed',
    'signing_keys.private_sealed',
    'sources.api_token_sealed',
    'sources.auth_sealed',
    'sources.webhook_secret_sealed',
  ]);
});

test('the command says what it did, and shows no key', async () => {
  await createSource('tills');
  const program = new Command('bellwether');
  let said = '';
  const env = { DATA_DIR: service.dataDir, DATABASE_URL: service.database.url };
  registerKeysCommands(program, { env, out: (text) => (said += text), settleMs: 0 });
  await program.parseAsync(['keys', 'rotate'], { from: 'user' });
  expect(said).toBe('sealed anew: 2; kept answers dropped: 0\nold keys removed\n');
});

test('the embedded database is reached beside the service that runs it, and started where none does', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'bellwether-keys-'));
  // As root, the database's account must be able to pass through.
  await chmod(dataDir, 0o711);
  const log = createLog('silent');
  try {
    await using running = disposing(await openEmbeddedPostgres(dataDir, log));
    const config = readConfig({ DATA_DIR: dataDir });
    await expect(rotateKeys(config, 0)).rejects.toThrow(expect.objectContaining({ code: 'not_set_up' }));
    await migrate(running.url, log);
    const sql = connect(running.url, { max: 1 });
    const organizationId = await ensureOrganization(sql, newId(), 'default');
    await createSigner(sql, openSecretBox(await loadSecretKeys({ dataDir }))).publicKeys(organizationId);
    await sql.end();
    expect((await rotateKeys(config, 0)).resealed).toBe(1);
    await running.close();
    expect((await rotateKeys(config, 0)).resealed).toBe(1);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});

/** Closed once, also when the test fails before it closes it. */
function disposing<T extends { close(): Promise<void> }>(opened: T): T & AsyncDisposable {
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= opened.close();
    return closing;
  };
  return { ...opened, close, [Symbol.asyncDispose]: close };
}
