import { createRoute, z } from '@hono/zod-openapi';
import { viewEvent } from '../../event/event.ts';
import { eventsAfter } from '../../event/store.ts';
import { decodeNumberCursor, json, PageQuery, page, problems, toPage } from '../../http/kit.ts';
import { createApi, role } from '../env.ts';
import type { Services } from '../services.ts';
import { EventView } from './event-schemas.ts';

const EventsQuery = PageQuery.extend({
  after: z.coerce.number().int().nonnegative().optional().openapi({ description: 'Cursor of the last event seen' }),
  subject: z.string().max(300).optional(),
  type: z.string().max(100).optional(),
});

export function eventRoutes({ store }: Services) {
  return createApi().openapi(
    createRoute({
      method: 'get',
      path: '/events',
      tags: ['Events'],
      middleware: [role('viewer')] as const,
      request: { query: EventsQuery },
      responses: { 200: json(page(EventView), 'Events, oldest first'), ...problems },
    }),
    async (c) => {
      const { limit, cursor, after, subject, type } = c.req.valid('query');
      const from = decodeNumberCursor(cursor) ?? after ?? 0;
      const rows = await eventsAfter(store.sql, c.get('actor').organizationId, { after: from, limit: limit + 1, subject, type });
      return c.json(
        toPage(rows, limit, (event) => event.cursor, viewEvent),
        200,
      );
    },
  );
}
