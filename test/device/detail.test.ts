import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { openService, type TestService } from '../support/service.ts';

const DEPLOYMENT = newId();

let service: TestService;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
  const { sql } = service.database;
  await service.api('POST', '/devices', { id: 'till' });
  await service.api('POST', '/devices', { id: 'other' });
  await sql`
    insert into deployments (organization_id, id, device_id, bundle, kind, state, created_at, delivering_at, applying_at, finished_at, error_code, error_detail)
    select organization_id, ${DEPLOYMENT}, id, repeat('a', 64), 'change', 'failed', '2026-03-01T12:00:00Z', '2026-03-01T12:00:01.500Z',
      '2026-03-01T12:00:02Z', '2026-03-01T12:00:12Z', 'health_failed', 'no answer' from devices where id = 'till'`;
  await sql`
    insert into device_logs (organization_id, device_id, deployment_id, at, level, message)
    select d.organization_id, 'till', case when n % 4 = 0 then ${DEPLOYMENT}::uuid end, '2026-03-01T12:00:00Z'::timestamptz + n * interval '1 minute',
      (array['debug', 'info', 'warn', 'error'])[1 + n % 4], 'line ' || n || case when n = 7 then ' 100% Wrong_' else '' end
    from devices d, generate_series(0, 39) n where d.id = 'till' order by n`;
  // Ten hours, one sample a minute: load rises from 0 to 599.
  await sql`
    insert into telemetry (organization_id, device_id, at, metrics)
    select organization_id, 'till', '2026-03-01T00:00:00Z'::timestamptz + n * interval '1 minute',
      jsonb_build_object('load', n) || case when n < 60 then '{"start": 1.5}'::jsonb else '{}' end
    from devices, generate_series(0, 599) n where id = 'till'`;
});
afterAll(() => service.close());

const get = async (path: string) => {
  const { status, body } = await service.api('GET', `/devices/till/${path}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
};

const messages = ({ items }: { items: { message: string }[] }) => items.map(({ message }) => Number(message.split(' ')[1]));

test('log lines are filtered by level, text, deployment and time, in both orders', async () => {
  const range = (length: number, of: (n: number) => number) => Array.from({ length }, (_, n) => of(n));
  expect(messages(await get('logs'))).toEqual(range(40, (n) => 39 - n));
  expect(messages(await get('logs?order=asc'))).toEqual(range(40, (n) => n));
  expect(messages(await get('logs?order=asc&level=warn'))).toEqual(range(20, (n) => 2 + (n % 2) + 4 * (n >> 1)));
  expect(messages(await get('logs?level=error&order=asc'))).toEqual(range(10, (n) => 3 + 4 * n));
  expect(messages(await get('logs?q=100%25%20wrong_'))).toEqual([7]);
  expect(messages(await get('logs?q=%25'))).toEqual([7]);
  expect(messages(await get(`logs?deployment=${DEPLOYMENT}&order=asc`))).toEqual(range(10, (n) => 4 * n));
  expect(messages(await get('logs?after=2026-03-01T12:10:00Z&before=2026-03-01T13:13:00%2B01:00&order=asc'))).toEqual([10, 11, 12]);
});

test.each(['asc', 'desc'])('the pages of a filtered log in the order %s have each line once', async (order) => {
  const all: number[] = [];
  let cursor = '';
  do {
    const body = await get(`logs?limit=3&level=warn&order=${order}${cursor}`);
    all.push(...messages(body));
    cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`;
  } while (cursor !== '');
  expect(all).toEqual(messages(await get(`logs?limit=500&level=warn&order=${order}`)));
  expect(new Set(all).size).toBe(20);
});

test('a series divides a time span into equal parts with minimum, mean and maximum', async () => {
  const series = await get('telemetry/series?metric=load&from=2026-03-01T00:00:00Z&to=2026-03-01T10:00:00Z&points=10');
  expect([series.bucketSeconds, series.items.length]).toEqual([3600, 10]);
  expect(series.items[2]).toEqual({ at: '2026-03-01T02:00:00.000Z', min: 120, avg: 149.5, max: 179, samples: 60 });
  const start = await get('telemetry/series?metric=start&from=2026-03-01T00:00:00Z&to=2026-03-01T10:00:00Z&points=500');
  expect(start.items.reduce((sum: number, { samples }: { samples: number }) => sum + samples, 0)).toBe(60);
  expect((await get('telemetry/series?metric=none')).items).toEqual([]);
  for (const query of ['metric=load&points=501', 'metric=load&from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z', 'points=10'])
    expect([query, (await service.api('GET', `/devices/till/telemetry/series?${query}`)).status]).toEqual([query, 400]);
});

test('samples of a time span, and the metrics with their newest values', async () => {
  const { items } = await get('telemetry?from=2026-03-01T01:00:00Z&to=2026-03-01T01:02:00Z');
  expect(items).toEqual([
    { at: '2026-03-01T01:01:00.000Z', metrics: { load: 61 } },
    { at: '2026-03-01T01:00:00.000Z', metrics: { load: 60 } },
  ]);
  expect((await get('telemetry/metrics')).items).toEqual([
    { name: 'load', at: '2026-03-01T09:59:00.000Z', value: 599 },
    { name: 'start', at: '2026-03-01T00:59:00.000Z', value: 1.5 },
  ]);
});

test('a deployment has its steps with their durations, and its log lines', async () => {
  const { steps, logs, error } = await get(`deployments/${DEPLOYMENT}`);
  expect(steps).toEqual([
    { state: 'queued', at: '2026-03-01T12:00:00.000Z', durationMs: 1500 },
    { state: 'delivering', at: '2026-03-01T12:00:01.500Z', durationMs: 500 },
    { state: 'applying', at: '2026-03-01T12:00:02.000Z', durationMs: 10_000 },
    { state: 'failed', at: '2026-03-01T12:00:12.000Z', durationMs: null },
  ]);
  expect(logs).toHaveLength(10);
  expect(error).toEqual({ code: 'health_failed', detail: 'no answer' });
  expect((await service.api('GET', `/devices/other/deployments/${DEPLOYMENT}`)).status).toBe(404);
  expect((await service.api('GET', `/devices/till/deployments/${newId()}`)).status).toBe(404);
});
