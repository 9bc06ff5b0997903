import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { createFirstIntegration } from '../../src/integration/first.ts';
import { openPlatform } from '../../src/integration/open.ts';
import { integrationOf } from '../../src/integration/store/services.ts';
import { SHELF, SHELF_KEY, type Shelf, serveShelf } from '../support/platform.ts';
import { eventually, openService, type TestService } from '../support/service.ts';

let platform: Shelf;
beforeAll(async () => {
  platform = await serveShelf();
});
afterAll(() => platform.close());

const organizationOf = async ({ database }: TestService) =>
  (await database.sql<{ id: string }[]>`select id from organizations where name = 'default'`)[0]?.id ?? '';

describe('the first integration, from the environment', () => {
  const FIRST = { EXTERNAL_PROVIDER: 'mobivisor', MOBIVISOR_API_TOKEN: SHELF_KEY };

  test('it is made once, without a request, although the platform is away', async () => {
    const away = { ...FIRST, MOBIVISOR_API_URL: 'http://127.0.0.1:9' };
    await using service = await openService({ ...away, ROLE: 'api' });
    const { items } = (await service.api('GET', '/integrations')).body;
    expect(items).toMatchObject([
      { slug: 'mobivisor', primary: true, settings: { apiUrl: 'http://127.0.0.1:9' }, credentials: { token: '6789' } },
    ]);
    const again = { ...readConfig(away), MOBIVISOR_API_TOKEN: 'another-key-0123456789' };
    await createFirstIntegration(service.app.services, await organizationOf(service), again);
    expect((await service.api('GET', '/integrations')).body.items).toEqual(items);
    expect(await service.database.sql`select actor, action, subject from audit where action = 'integration.create'`).toEqual([
      { actor: 'environment', action: 'integration.create', subject: 'integration:mobivisor' },
    ]);
  });

  test('an address that is not allowed is logged, and the service starts without the integration', async () => {
    const env = { ...FIRST, MOBIVISOR_API_URL: 'http://127.0.0.1:9', ALLOW_PRIVATE_INTEGRATION_HOSTS: 'false', ROLE: 'api' };
    await using service = await openService(env);
    expect((await service.api('GET', '/integrations')).body.items).toEqual([]);
  });

  test('an incomplete description refuses the start, and names what is missing', () => {
    expect(() => readConfig({ EXTERNAL_PROVIDER: 'mobivisor' })).toThrow(
      /MOBIVISOR_API_URL: is required with EXTERNAL_PROVIDER=mobivisor\n.*MOBIVISOR_API_TOKEN: is required/,
    );
    expect(() => readConfig({ EXTERNAL_PROVIDER: 'other' })).toThrow(/EXTERNAL_PROVIDER: .*mobivisor/);
    expect(readConfig({ EXTERNAL_PROVIDER: 'mobivisor', ENABLE_EXTERNAL_INTEGRATION: 'false' }).ENABLE_EXTERNAL_INTEGRATION).toBe(false);
  });
});

test('with integrations switched off, their routes say so, and no platform is opened', async () => {
  const env = {
    ENABLE_EXTERNAL_INTEGRATION: 'false',
    EXTERNAL_PROVIDER: 'mobivisor',
    MOBIVISOR_API_URL: platform.url,
    MOBIVISOR_API_TOKEN: SHELF_KEY,
  };
  await using service = await openService({ ...env, ROLE: 'api' }, SHELF);
  for (const [method, path, body] of [
    ['GET', '/integrations', undefined],
    ['GET', '/integrations/providers', undefined],
    ['POST', '/integrations', { type: 'shelf', settings: platform.settings, credentials: platform.credentials }],
    ['POST', '/integrations:sync-all', undefined],
    ['GET', '/integrations/shelf/sync-status', undefined],
  ] as const) {
    const answer = await service.api(method, path, body);
    expect([path, answer.status, answer.body.code]).toEqual([path, 409, 'integration_disabled']);
  }
  expect(await service.database.sql`select 1 from device_services`).toEqual([]);
  expect((await service.api('GET', '/devices')).status).toBe(200);
  const ready = (await (await fetch(`${service.url}/health/ready`)).json()) as { integrations: unknown };
  expect(ready.integrations).toEqual([]);
});

test('private addresses and plain http are refused unless they are allowed', async () => {
  await using service = await openService({ ROLE: 'api', ALLOW_PRIVATE_INTEGRATION_HOSTS: 'false' }, SHELF);
  const create = (baseUrl: string) =>
    service.api('POST', '/integrations', { type: 'shelf', settings: { baseUrl }, credentials: platform.credentials });
  expect((await create('https://127.0.0.1:9/api')).body).toMatchObject({
    code: 'address_refused',
    detail: expect.stringContaining('can allow it with ALLOW_PRIVATE_INTEGRATION_HOSTS=true'),
  });
  expect((await create('http://platform.example')).body.detail).toMatch(/its scheme is "http", must be "https"/);
  expect((await create('https://user:word@platform.example')).body.detail).toMatch(/must not hold a user or a password/);
  expect((await create('ftp://platform.example')).body.detail).toMatch(/its scheme is "ftp"/);
  expect((await create('https://platform.example')).status).toBe(201);
});

describe('health and metrics', () => {
  test('a platform that fails leaves the service ready, and shows in its details', async () => {
    await using service = await openService({ ROLE: 'api' }, SHELF);
    await service.api('POST', '/integrations', { type: 'shelf', settings: platform.settings, credentials: platform.credentials });
    const integration = (await integrationOf(service.database.sql, await organizationOf(service), 'shelf')) ?? expect.fail('none');
    await service.database.sql`update device_services set failures = 2, last_success_at = now() - interval '10 seconds'`;
    platform.faults.push({ times: 20, do: { is: 'answer', response: { status: 500 } } });
    const opened = openPlatform(integration, service.app.services.platforms);
    for (let tried = 0; tried < 2; tried += 1)
      await expect(opened.test(AbortSignal.timeout(30_000))).rejects.toMatchObject({
        code: expect.stringMatching(/server_error|unavailable/),
      });
    platform.faults.splice(0);
    const response = await fetch(`${service.url}/health/ready`);
    expect(response.status).toBe(200);
    const { integrations } = (await response.json()) as { integrations: unknown[] };
    expect(integrations).toMatchObject([{ id: integration.id, slug: 'shelf', type: 'shelf', state: 'failing', circuit: 'open' }]);
    const metrics = await eventually('the gauges of the database are read', async () => {
      const text = await (await fetch(`${service.url}/metrics`)).text();
      return text.includes('bellwether_integrations{type="shelf",state="failing"} 1') && text;
    });
    expect(metrics).toContain('bellwether_integration_circuits_open 1');
    expect(metrics).toMatch(/bellwether_platform_request_seconds_count\{type="shelf",outcome="server_error"\} 5/);
    expect(metrics).toMatch(
      new RegExp(`bellwether_integration_success_age_seconds\\{integration="${integration.id}",type="shelf"\\} 1\\d`),
    );
  });
});
