import { afterAll, beforeAll, expect, test } from 'vitest';
import { openService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
  const { sql } = service.database;
  await sql`
    insert into events (organization_id, type, subject, data, at)
    select o.id, case n % 2 when 0 then 'device.started' else 'site.created' end, 'device:d' || n, '{}', '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 hour'
    from organizations o, generate_series(0, 9) n where o.name = 'default' order by n`;
  await sql`
    insert into audit (organization_id, at, actor, action, subject, outcome)
    select o.id, '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 hour', 'token:t' || n % 3, case n % 2 when 0 then 'device.change' else 'site.create' end,
      'device:d' || n, 'ok'
    from organizations o, generate_series(0, 9) n where o.name = 'default' order by n`;
});
afterAll(() => service.close());

const OLD = '2026-01-02T00:00:00Z';

async function subjects(path: string): Promise<string[]> {
  const { status, body } = await service.api('GET', path);
  expect(status).toBe(200);
  return body.items.map(({ subject }: { subject: string }) => subject.replace('device:d', ''));
}

test('events are listed newest first page by page, without a gap or a repetition', async () => {
  const seen: string[] = [];
  for (let cursor = ''; ; ) {
    const { body } = await service.api('GET', `/events?order=desc&limit=4&until=${OLD}${cursor}`);
    seen.push(...body.items.map(({ subject }: { subject: string }) => subject));
    if (body.nextCursor === null) break;
    cursor = `&cursor=${body.nextCursor}`;
  }
  expect(seen).toEqual(Array.from({ length: 10 }, (_, n) => `device:d${9 - n}`));
});

test('events are chosen by the noun of their type and by time', async () => {
  expect(await subjects(`/events?type=site.*&until=${OLD}`)).toEqual(['1', '3', '5', '7', '9']);
  expect(await subjects(`/events?type=device.started&order=desc&until=${OLD}`)).toEqual(['8', '6', '4', '2', '0']);
  expect(await subjects('/events?since=2026-01-01T03:00:00Z&until=2026-01-01T06:00:00Z')).toEqual(['3', '4', '5']);
});

test('a noun is no pattern', async () => {
  expect(await subjects('/events?type=%25.*')).toEqual([]);
  expect(await subjects('/audit?action=_ite.*')).toEqual([]);
});

test('the audit log and its export are chosen by actor, action and time', async () => {
  expect(await subjects(`/audit?actor=token:t1&before=${OLD}`)).toEqual(['7', '4', '1']);
  expect(await subjects(`/audit?action=site.*&actor=token:t0&before=${OLD}`)).toEqual(['9', '3']);
  expect(await subjects('/audit?after=2026-01-01T03:00:00Z&before=2026-01-01T05:00:00Z')).toEqual(['4', '3']);
  const { body } = await service.api('GET', `/audit/export?action=site.*&actor=token:t0&before=${OLD}`);
  const lines = String(body).trim().split('\n');
  expect(lines.map((line) => JSON.parse(line).subject)).toEqual(['device:d3', 'device:d9']);
});
