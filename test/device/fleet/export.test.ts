import { afterAll, beforeAll, expect, test } from 'vitest';
import { seedDevices } from '../../support/seed-devices.ts';
import { openService, type TestService } from '../../support/service.ts';

const DEVICES = 2_500;
const NAMES = ['=cmd()', "'=quoted", '+49', 'a "b", c', 'two\nlines', "'plain", '\u00e4\ud83d\udca1'];

let service: TestService;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
  const { sql } = service.database;
  const [organization] = await sql<{ id: string }[]>`select id from organizations where name = 'default'`;
  await seedDevices(sql, organization?.id ?? '', { devices: DEVICES, sites: 4, sources: 2 });
  await sql`update devices set adapter = 'agent'`;
  for (const [at, name] of NAMES.entries())
    await sql`update devices set name = ${name}, labels = ${sql.json({ note: name })} where id = ${`till-00000${at + 1}`}`;
});
afterAll(() => service.close());

const rows = async () => service.database.sql`
  select id, name, type, labels, site_id, adapter, simulated, source_id, path, following from devices order by id`;

test.each([
  ['csv', 'text/csv'],
  ['jsonl', 'application/x-ndjson'],
])('an export as %s is what the import takes: the same devices again', async (format, type) => {
  const before = await rows();
  const exported = await service.api('GET', `/devices:export?format=${format}`);
  expect([exported.status, exported.headers.get('content-type')?.split(';')[0]]).toEqual([200, type]);
  await service.database.sql`delete from devices`;
  const response = await fetch(`${service.url}/api/v1/devices:import?mode=atomic`, {
    method: 'POST',
    headers: { 'content-type': type, authorization: 'Bearer test-admin-token-of-32-characters' },
    body: format === 'csv' ? exported.body : String(exported.body),
  });
  expect(response.status, await response.text()).toBe(200);
  expect(await rows()).toEqual(before);
});

test('no field of a CSV begins like a formula', async () => {
  const { body } = await service.api('GET', '/devices:export');
  expect(body).toContain("'=cmd()");
  expect(body).toContain("''=quoted");
  expect(body).not.toMatch(/(^|,)"?[=+@-]/m);
});

test('an export has the devices of its filter, and a line in the audit log', async () => {
  const { body } = await service.api('GET', '/devices:export?format=jsonl&type=kiosk');
  const { total } = (await service.api('GET', '/devices/counts?type=kiosk')).body;
  expect(body.trim().split('\n')).toHaveLength(total);
  const [entry] = (await service.api('GET', '/audit?subject=devices&limit=1')).body.items;
  expect(entry).toMatchObject({ action: 'device.export', detail: { format: 'jsonl', filter: { type: ['kiosk'] } } });
});
