import { createRoute, z } from '@hono/zod-openapi';
import { createApi, decodeNumberCursor, json, PageQuery, page, problems, role, toPage } from '../http/api.ts';
import type { Services } from '../http/services.ts';
import { listAudit } from './store.ts';

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

export function auditRoutes({ store }: Services) {
  const query = PageQuery.extend({ subject: z.string().max(300).optional() });
  return createApi().openapi(
    createRoute({
      method: 'get',
      path: '/audit',
      tags: ['Audit'],
      middleware: [role('admin')] as const,
      request: { query },
      responses: { 200: json(page(AuditEntry), 'Who did what, newest first'), ...problems },
    }),
    async (c) => {
      const { limit, cursor, subject } = c.req.valid('query');
      const rows = await listAudit(store.sql, c.get('actor').organizationId, decodeNumberCursor(cursor), limit + 1, subject);
      const view = ({ id, at, actor, action, subject: about, outcome, commitOid, detail }: (typeof rows)[number]) => ({
        id,
        at: at.toISOString(),
        actor,
        action,
        subject: about,
        outcome,
        commit: commitOid,
        detail,
      });
      return c.json(
        toPage(rows, limit, (row) => row.id, view),
        200,
      );
    },
  );
}
