import { z } from '@hono/zod-openapi';
import { listLogLines } from '../../../device/store/logs.ts';
import type { Store } from '../../../event/transact.ts';
import { decodeNumberCursor, PageQuery } from '../../../http/kit.ts';
import { LogLevel } from '../../../wire/agent.ts';
import { mount, operation } from '../../env.ts';
import { listRoute, readPage } from '../../list.ts';
import { DeviceParams, findDevice } from '../find.ts';
import { LogLineView, viewLogLine } from '../schemas.ts';

type Deps = { store: Store };

/** The log of one device. */
export const deviceLogRoutes = (deps: Deps) => mount(list(deps));

const time = z.iso.datetime({ offset: true }).optional();
const LogsQuery = PageQuery.extend({
  order: z.enum(['asc', 'desc']).default('desc').openapi({ description: 'desc: the newest line first, by arrival' }),
  level: LogLevel.optional().openapi({ description: 'Lines of this level and above' }),
  q: z.string().max(200).optional().openapi({ description: 'Part of the message' }),
  deployment: z.uuid().optional().openapi({ description: 'Lines of this deployment' }),
  after: time.openapi({ description: 'Lines at or after this time of the device' }),
  before: time.openapi({ description: 'Lines before this time of the device' }),
});

const list = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/devices/{id}/logs',
      tags: ['Devices'],
      role: 'viewer',
      request: { params: DeviceParams, query: LogsQuery },
      item: LogLineView,
      description: 'Its log lines; the service keeps the last 1,000',
    }),
    async (c) => {
      const { organizationId, id } = await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const { limit, cursor, order, level, q, deployment, after, before } = c.req.valid('query');
      const levels = level === undefined ? undefined : LogLevel.options.slice(LogLevel.options.indexOf(level));
      const filter = { levels, q, deploymentId: deployment, after, before };
      const answer = await readPage(
        { limit, cursor },
        {
          after: decodeNumberCursor,
          rows: (place, count) =>
            listLogLines(sql, { organizationId, deviceId: id }, filter, { place, newestFirst: order === 'desc', limit: count }),
          key: (row) => row.id,
          view: viewLogLine,
        },
      );
      return c.json(answer, 200);
    },
  );
