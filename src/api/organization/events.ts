import { z } from '@hono/zod-openapi';
import { viewEvent } from '../../event/event.ts';
import { searchEvents } from '../../event/store.ts';
import type { Store } from '../../event/transact.ts';
import { dateOf, decodeNumberCursor, Moment, PageQuery } from '../../http/kit.ts';
import { mount, operation } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import { EventView } from './event-schemas.ts';

type Deps = { store: Store };

export const eventRoutes = (deps: Deps) => mount(listEvents(deps));

const EventsQuery = PageQuery.extend({
  after: z.coerce.number().int().nonnegative().optional().openapi({ description: 'Cursor of the last event received' }),
  subject: z.string().max(300).optional(),
  type: z.string().max(100).optional().openapi({ description: 'A type, or all of a noun', example: 'rollout.*' }),
  order: z.enum(['asc', 'desc']).default('asc').openapi({ description: 'asc: oldest first; desc: newest first' }),
  since: Moment.optional().openapi({ description: 'Events at or after this time; a date means its midnight in UTC' }),
  until: Moment.optional().openapi({ description: 'Events before this time' }),
});

const listEvents = ({ store }: Deps) =>
  operation(
    listRoute({
      path: '/events',
      tags: ['Events'],
      role: 'viewer',
      request: { query: EventsQuery },
      item: EventView,
      description: 'Events, oldest first unless asked otherwise. A client that follows them asks for those after its last cursor.',
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const query = c.req.valid('query');
      const { subject, type, order } = query;
      const span = { since: dateOf(query.since), until: dateOf(query.until) };
      const answer = await readPage(query, {
        after: (cursor) => decodeNumberCursor(cursor) ?? (order === 'asc' ? (query.after ?? 0) : null),
        rows: (cursor, limit) => searchEvents(store.sql, organizationId, { order, cursor, subject, type, ...span, limit }),
        key: (event) => event.cursor,
        view: viewEvent,
      });
      return c.json(answer, 200);
    },
  );
