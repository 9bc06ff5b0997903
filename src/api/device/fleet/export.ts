import { createRoute, z } from '@hono/zod-openapi';
import { streamLines } from '../../../async/lines.ts';
import { audited } from '../../../audit/audited.ts';
import { type ListedDevice, labelKeys, listDevices } from '../../../device/store/list.ts';
import type { Store } from '../../../event/transact.ts';
import { logOf, problems } from '../../../http/kit.ts';
import { DEVICE_EXPORT_FORMATS, type DeviceExportFormat, exportHead, exportLine } from '../../../inventory/export.ts';
import { callerOf, mount, operation, role } from '../../env.ts';
import { FILTER_QUERY, filterOf } from './query.ts';

type Deps = { store: Store };

/** `GET /devices:export`: the devices of a filter in the form that `POST /devices:import` takes. */
export const deviceExportRoutes = (deps: Deps) => mount(exportDevices(deps));

/** Devices that an export holds in memory at once. */
const BATCH = 1_000;

const exportDevices = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/devices:export',
      tags: ['Devices'],
      description: 'Devices in the order of their ids, without keys and states. CSV has a column for each key of a label.',
      middleware: [role('viewer')] as const,
      request: { query: z.object({ format: z.enum(['csv', 'jsonl'] satisfies DeviceExportFormat[]).default('csv'), ...FILTER_QUERY }) },
      responses: {
        200: {
          description: 'One device per line, as the import takes it',
          content: { 'text/csv': { schema: z.string() }, 'application/x-ndjson': { schema: z.string() } },
        },
        ...problems,
      },
    }),
    async (c) => {
      const { format, ...query } = c.req.valid('query');
      const { organizationId } = c.get('actor');
      const filter = await filterOf(store.sql, organizationId, query);
      await audited(
        callerOf(c),
        store,
        { action: 'device.export', subject: 'devices', detail: { format, filter: query } },
        async () => undefined,
      );
      const keys = format === 'csv' ? await labelKeys(store.sql, organizationId, filter) : [];
      const nextBatch = (last: ListedDevice | undefined) =>
        listDevices(store.sql, organizationId, filter, { sort: 'id', descending: false, after: last?.place ?? null, limit: BATCH }).catch(
          (error: unknown) => {
            logOf(c).warn({ err: error, after: last?.id }, 'failed to read the devices; the export ends incomplete');
            throw error;
          },
        );
      return c.body(await streamLines(exportHead(format, keys), nextBatch, (device) => exportLine(format, keys, device)), 200, {
        'content-type': DEVICE_EXPORT_FORMATS[format],
        'content-disposition': `attachment; filename="devices-${new Date().toISOString().slice(0, 10)}.${format}"`,
        'cache-control': 'no-store',
      });
    },
  );
