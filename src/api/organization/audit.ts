import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { EXPORT_FORMATS, type ExportFormat, exportText, viewEntry } from '../../audit/export.ts';
import { type AuditFilter, auditBatch, lastAuditId, listAudit } from '../../audit/store.ts';
import type { Store } from '../../event/transact.ts';
import { dateOf, decodeNumberCursor, logOf, Moment, PageQuery, problems } from '../../http/kit.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { listRoute, readPage } from '../list.ts';

type Deps = { store: Store };

export const auditRoutes = (deps: Deps) => mount(listEntries(deps), exportEntries(deps));

const AuditEntry = z
  .object({
    id: z.number().int(),
    at: z.iso.datetime(),
    actor: z.string(),
    action: z.string(),
    subject: z.string(),
    outcome: z.enum(['ok', 'refused', 'failed']),
    commit: z.string().nullable(),
    detail: z.record(z.string(), z.unknown()),
  })
  .openapi('AuditEntry');

const tags = ['Audit'];
const Filter = z.object({
  after: Moment.optional().openapi({ description: 'Entries at or after this time; a date means its midnight in UTC' }),
  before: Moment.optional().openapi({ description: 'Entries before this time' }),
  subject: z.string().max(300).optional(),
  actor: z.string().max(300).optional().openapi({ example: 'token:ci' }),
  action: z.string().max(100).optional().openapi({ description: 'An action, or all of a noun', example: 'integration.*' }),
});
const ExportQuery = Filter.extend({ format: z.enum(['jsonl', 'csv'] satisfies ExportFormat[]).default('jsonl') });

/** An export holds this many entries in memory at once. */
const BATCH = 1_000;

const listEntries = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/audit',
      tags,
      role: 'admin',
      request: { query: PageQuery.extend(Filter.shape) },
      item: AuditEntry,
      description: 'Audit entries, newest first',
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const query = c.req.valid('query');
      const answer = await readPage(query, {
        after: decodeNumberCursor,
        rows: (after, limit) => listAudit(sql, organizationId, filterOf(query), after, limit),
        key: (entry) => entry.id,
        view: viewEntry,
      });
      return c.json(answer, 200);
    },
  );

const exportEntries = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/audit/export',
      tags,
      description:
        'The log up to and including this request, oldest first. Operations that run at that time may be missing: if you export by spans, let each end some minutes ago.',
      middleware: [role('admin')] as const,
      request: { query: ExportQuery },
      responses: {
        200: {
          description: 'One entry per line, as in the list; CSV begins with a line of names',
          content: { 'application/x-ndjson': { schema: z.string() }, 'text/csv': { schema: z.string() } },
        },
        ...problems,
      },
    }),
    async (c) => {
      const { format, ...filter } = c.req.valid('query');
      const { after = null, before = null, subject = null, ...chosen } = filter;
      const { organizationId } = c.get('actor');
      const detail = { format, after, before, subject, ...chosen };
      await audited(callerOf(c), store, { action: 'audit.export', subject: 'audit', detail }, async () => undefined);
      const upToId = await lastAuditId(store.sql, organizationId);
      const nextBatch = (afterId: number) =>
        auditBatch(store.sql, organizationId, { ...filterOf(filter), upToId }, afterId, BATCH).catch((error: unknown) => {
          logOf(c).warn({ err: error, afterId }, 'failed to read the audit log; the export ends incomplete');
          throw error;
        });
      return c.body(await exportText(format, nextBatch), 200, {
        'content-type': EXPORT_FORMATS[format],
        'content-disposition': `attachment; filename="audit-${new Date().toISOString().slice(0, 10)}.${format}"`,
        'cache-control': 'no-store',
      });
    },
  );

function filterOf({ after, before, subject, actor, action }: z.output<typeof Filter>): AuditFilter {
  return { after: dateOf(after), before: dateOf(before), subject, actor, action };
}
