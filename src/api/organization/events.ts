import { z } from '@hono/zod-openapi';
import { viewEvent } from '../../event/event.ts';
import { eventsAfter } from '../../event/store.ts';
import type { Store } from '../../event/transact.ts';
import { decodeNumberCursor, PageQuery } from '../../http/kit.ts';
import { mount, operation } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import { EventView } from './event-schemas.ts';

type Deps = { store: Store };

export const eventRoutes = (deps: Deps) => mount(listEvents(deps));

const EventsQuery = PageQuery.extend({
  after: z.coerce.number().int().nonnegative().optional().openapi({ description: 'Cursor of the last event received' }),
  subject: z.string().max(300).optional(),
  type: z.string().max(100).optional(),
});

const listEvents = ({ store }: Deps) =>
  operation(
    listRoute({
      path: '/events',
      tags: ['Events'],
      role: 'viewer',
      request: { query: EventsQuery },
      item: EventView,
      description: 'Events, oldest first',
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const query = c.req.valid('query');
      const { subject, type } = query;
      const answer = await readPage(query, {
        after: (cursor) => decodeNumberCursor(cursor) ?? query.after ?? 0,
        rows: (after, limit) => eventsAfter(store.sql, organizationId, { after, limit, subject, type }),
        key: (event) => event.cursor,
        view: viewEvent,
      });
      return c.json(answer, 200);
    },
  );
