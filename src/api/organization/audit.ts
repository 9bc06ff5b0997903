import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { EXPORT_FORMATS, type ExportFormat, exportText, viewEntry } from '../../audit/export.ts';
import { auditBatch, lastAuditId, listAudit } from '../../audit/store.ts';
import { decodeNumberCursor, json, logOf, PageQuery, page, problems, toPage } from '../../http/kit.ts';
import { callerOf, createApi, role } from '../env.ts';
import type { Services } from '../services.ts';

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
const subject = z.string().max(300).optional();
const moment = z.union([z.iso.datetime({ offset: true }), z.iso.date()]).optional();
const ExportQuery = z.object({
  format: z.enum(['jsonl', 'csv'] satisfies ExportFormat[]).default('jsonl'),
  after: moment.openapi({ description: 'Entries of this moment and later; a date is its midnight in UTC' }),
  before: moment.openapi({ description: 'Entries before this moment' }),
  subject,
});

/** Entries that are in memory at once. */
const BATCH = 1_000;

export function auditRoutes({ store }: Services) {
  const { sql } = store;
  return createApi()
    .openapi(
      createRoute({
        method: 'get',
        path: '/audit',
        tags,
        middleware: [role('admin')] as const,
        request: { query: PageQuery.extend({ subject }) },
        responses: { 200: json(page(AuditEntry), 'Who did what, newest first'), ...problems },
      }),
      async (c) => {
        const { limit, cursor, subject: about } = c.req.valid('query');
        const rows = await listAudit(sql, c.get('actor').organizationId, decodeNumberCursor(cursor), limit + 1, about);
        return c.json(
          toPage(rows, limit, (row) => row.id, viewEntry),
          200,
        );
      },
    )
    .openapi(
      createRoute({
        method: 'get',
        path: '/audit/export',
        tags,
        description:
          'The log up to the moment of the request, which is in it, oldest first. What was under way in that moment may be missing: who exports span by span lets each end some minutes ago.',
        middleware: [role('admin')] as const,
        request: { query: ExportQuery },
        responses: {
          200: {
            description: 'An entry on each line, as in the list; CSV with a line of names first',
            content: { 'application/x-ndjson': { schema: z.string() }, 'text/csv': { schema: z.string() } },
          },
          ...problems,
        },
      }),
      async (c) => {
        const { format, after, before, subject: about } = c.req.valid('query');
        const { organizationId } = c.get('actor');
        const detail = { format, after: after ?? null, before: before ?? null, subject: about ?? null };
        await audited(callerOf(c), store, { action: 'audit.export', subject: 'audit', detail }, async () => undefined);
        const upToId = await lastAuditId(sql, organizationId);
        const span = { after: dateOf(after), before: dateOf(before), subject: about, upToId };
        const nextBatch = (afterId: number) =>
          auditBatch(sql, organizationId, span, afterId, BATCH).catch((error: unknown) => {
            logOf(c).warn({ err: error, afterId }, 'an export of the audit log broke off');
            throw error;
          });
        const text = await exportText(format, nextBatch);
        return c.body(text, 200, {
          'content-type': EXPORT_FORMATS[format],
          'content-disposition': `attachment; filename="audit-${new Date().toISOString().slice(0, 10)}.${format}"`,
          'cache-control': 'no-store',
        });
      },
    );
}

function dateOf(text: string | undefined): Date | null {
  return text === undefined ? null : new Date(text);
}
