import { createRoute, z } from '@hono/zod-openapi';
import { invalid } from '../../../errors.ts';
import type { Store } from '../../../event/transact.ts';
import { decodeTimeCursor, json, PageQuery, problems } from '../../../http/kit.ts';
import { listTelemetry, newestMetrics, seriesOf } from '../../../telemetry/store.ts';
import { mount, operation, role } from '../../env.ts';
import { listRoute, readPage } from '../../list.ts';
import { DeviceParams, findDevice } from '../find.ts';

type Deps = { store: Store };

/** The measurements of one device. */
export const deviceTelemetryRoutes = (deps: Deps) => mount(list(deps), metrics(deps), series(deps));

const tags = ['Devices'];
const time = z.iso.datetime();
const moment = z.iso.datetime({ offset: true }).optional();
const Sample = z.object({ at: time, metrics: z.record(z.string(), z.number()) }).openapi('TelemetrySample');
const Metric = z.object({ name: z.string(), at: time, value: z.number() }).openapi('TelemetryMetric');
const Bucket = z.object({ at: time, min: z.number(), avg: z.number(), max: z.number(), samples: z.number().int() });
const Series = z
  .object({
    metric: z.string(),
    from: time,
    to: time,
    bucketSeconds: z.number(),
    items: z.array(Bucket).openapi({ description: 'By time; a bucket without samples is left out' }),
  })
  .openapi('TelemetrySeries');
const span = {
  from: moment.openapi({ description: 'Samples at or after this time' }),
  to: moment.openapi({ description: 'Samples before this time' }),
};
const SeriesQuery = z.object({
  ...span,
  metric: z.string().min(1).max(200),
  points: z.coerce.number().int().min(1).max(500).default(100).openapi({ description: 'Number of equal parts of the time span' }),
});
const DAY_MS = 86_400_000;

const list = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/devices/{id}/telemetry',
      tags,
      role: 'viewer',
      request: { params: DeviceParams, query: PageQuery.extend(span) },
      item: Sample,
      description: 'Its samples, newest first',
    }),
    async (c) => {
      const { organizationId, id } = await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const { from, to, ...query } = c.req.valid('query');
      const answer = await readPage(query, {
        after: decodeTimeCursor,
        rows: (before, limit) => listTelemetry(sql, { organizationId, deviceId: id }, { from, to, before }, limit),
        key: (row) => row.at.toISOString(),
        view: (row) => ({ at: row.at.toISOString(), metrics: row.metrics }),
      });
      return c.json(answer, 200);
    },
  );

/** All of them in one page: a device has few. */
const metrics = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/devices/{id}/telemetry/metrics',
      tags,
      role: 'viewer',
      request: { params: DeviceParams, query: z.object({}) },
      item: Metric,
      description: 'Metrics of its last 1,000 samples, each with its newest value',
    }),
    async (c) => {
      const { organizationId, id } = await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const rows = await newestMetrics(sql, { organizationId, deviceId: id });
      return c.json({ items: rows.map((row) => ({ ...row, at: row.at.toISOString() })), nextCursor: null }, 200);
    },
  );

const series = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/devices/{id}/telemetry/series',
      tags,
      middleware: [role('viewer')] as const,
      request: { params: DeviceParams, query: SeriesQuery },
      responses: { 200: json(Series, 'One metric over time: minimum, mean and maximum of each part. Default: the last day'), ...problems },
    }),
    async (c) => {
      const { organizationId, id } = await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const query = c.req.valid('query');
      const to = query.to === undefined ? new Date() : new Date(query.to);
      const from = query.from === undefined ? new Date(to.getTime() - DAY_MS) : new Date(query.from);
      if (from >= to)
        throw invalid('Cannot read the series: from must be before to', [{ pointer: '/query/from', detail: 'must be before to' }]);
      const { metric, points } = query;
      const bucketSeconds = (to.getTime() - from.getTime()) / 1000 / points;
      const rows = await seriesOf(sql, { organizationId, deviceId: id }, { metric, from, to, bucketSeconds });
      const items = rows.map((row) => ({ ...row, at: row.at.toISOString() }));
      return c.json({ metric, from: from.toISOString(), to: to.toISOString(), bucketSeconds, items }, 200);
    },
  );
