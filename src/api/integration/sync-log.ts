import { z } from '@hono/zod-openapi';
import type { Store } from '../../event/transact.ts';
import { decodeNumberCursor, PageQuery } from '../../http/kit.ts';
import type { PlatformDeps } from '../../integration/open.ts';
import { type LogEntry, readSyncLog } from '../../integration/store/sync-log.ts';
import { mountOn, operation } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import { apiOf, findIntegration } from './find.ts';
import { IntegrationId } from './integrations.ts';
import { Failure, iso } from './schemas.ts';

type Deps = { store: Store; platforms: PlatformDeps };

/** The syncs of an integration, and the devices that they changed. */
export const syncLogRoutes = (deps: Deps) => mountOn(apiOf(deps), listAll(deps));

const time = z.iso.datetime();
const LogQuery = PageQuery.extend({
  kind: z.enum(['runs', 'devices', 'all']).default('all').openapi({ description: 'Syncs, the changes of devices, or both' }),
  run: z.uuid().optional().openapi({ description: 'Entries of one sync: the `runId` of its entry' }),
  device: z.string().max(63).optional(),
  operation: z.enum(['walk', 'export', 'create', 'update', 'archive', 'restore', 'link', 'resolve']).optional(),
  status: z.enum(['running', 'succeeded', 'failed']).optional(),
});
const SyncLogEntry = z
  .object({
    id: z.number().int(),
    runId: z.string(),
    deviceId: z.string().nullable().openapi({ description: 'null: the entry is about the whole sync, or about a device that got no id' }),
    externalId: z.string().nullable(),
    operation: z.string().openapi({ description: 'A sync that is a `walk` reads all devices; an `export` only writes waiting values' }),
    direction: z.string().nullable(),
    trigger: z.string().nullable().openapi({ description: 'The token that asked for the sync, or `schedule`' }),
    status: z.string(),
    details: z
      .record(z.string(), z.unknown())
      .openapi({ description: 'The counts of a sync, or the fields of a device with their values before and after' }),
    error: Failure.nullable(),
    startedAt: time,
    finishedAt: time.nullable(),
    durationMs: z.number().int().nullable(),
  })
  .openapi('SyncLogEntry');

const listAll = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/integrations/{id}/sync-log',
      tags: ['Integrations'],
      role: 'viewer',
      request: { params: IntegrationId, query: LogQuery },
      item: SyncLogEntry,
      description: 'Syncs and changes of devices, newest first; kept for 30 days',
    }),
    async (c) => {
      const { limit, cursor, kind, run: runId, device: deviceId, operation: which, status } = c.req.valid('query');
      const integration = await findIntegration(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const filter = { kind, runId, deviceId, operation: which, status };
      const answer = await readPage(
        { limit, cursor },
        {
          after: decodeNumberCursor,
          rows: (before, count) => readSyncLog(sql, integration, filter, before, count),
          key: ({ id }) => id,
          view: viewEntry,
        },
      );
      return c.json(answer, 200);
    },
  );

function viewEntry({ errorCode, errorDetail, startedAt, finishedAt, ...entry }: LogEntry): z.output<typeof SyncLogEntry> {
  const error = errorCode === null ? null : { code: errorCode, detail: errorDetail ?? '' };
  return { ...entry, error, startedAt: startedAt.toISOString(), finishedAt: iso(finishedAt) };
}
