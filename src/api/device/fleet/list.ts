import { createRoute, z } from '@hono/zod-openapi';
import { countFleet } from '../../../device/store/counts.ts';
import { listDevices } from '../../../device/store/list.ts';
import type { Store } from '../../../event/transact.ts';
import { json, PageQuery, problems } from '../../../http/kit.ts';
import { mount, operation, role } from '../../env.ts';
import { listRoute, readPage } from '../../list.ts';
import { ListedDevice, viewListedDevice } from '../schemas.ts';
import { cursorsOf, FILTER_QUERY, filterOf, ORDER_QUERY } from './query.ts';

type Deps = { store: Store };

/** The list of devices and its counts. Stands before the routes of one device, whose id would match its paths. */
export const fleetRoutes = (deps: Deps) => mount(listAll(deps), count(deps));

const tags = ['Devices'];
/** A cursor carries a device's name. */
const cursor = z.string().max(2_000).optional();

const listAll = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/devices',
      tags,
      role: 'viewer',
      request: { query: PageQuery.extend({ cursor, ...ORDER_QUERY, ...FILTER_QUERY }) },
      item: ListedDevice,
      description: 'Devices; filters of several parameters must all match',
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { limit, cursor, sort, order, ...query } = c.req.valid('query');
      const filter = await filterOf(sql, organizationId, query);
      const by = { sort, descending: order === 'desc' };
      const cursors = cursorsOf(filter, by);
      const answer = await readPage(
        { limit, cursor },
        {
          after: cursors.placeOf,
          rows: (after, count) => listDevices(sql, organizationId, filter, { ...by, after, limit: count }),
          key: ({ place }) => cursors.keyOf(place),
          view: viewListedDevice,
        },
      );
      return c.json(answer, 200);
    },
  );

const counts = z.record(z.string(), z.number().int());
const topCounts = (name: string) =>
  z
    .object({
      items: z.array(z.object({ value: z.string().nullable(), name: z.string().nullable(), count: z.number().int() })),
      other: z.number().int(),
    })
    .openapi({ description: `The 50 ${name} with most devices, and the number of all other devices` });
const Counts = z
  .object({
    total: z.number().int(),
    byStatus: counts,
    byConnectivity: counts,
    bySourceKind: counts,
    byAdapter: counts,
    bySite: topCounts('sites'),
    bySource: topCounts('sources'),
    byType: topCounts('types'),
  })
  .openapi('DeviceCounts');

const count = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/devices/counts',
      tags,
      middleware: [role('viewer')] as const,
      request: { query: z.object(FILTER_QUERY) },
      responses: { 200: json(Counts, 'How many devices match the filter, by kind'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const filter = await filterOf(sql, organizationId, c.req.valid('query'));
      return c.json(await countFleet(sql, organizationId, filter), 200);
    },
  );
