import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { conflict, notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { decodeNumberCursor, json, PageQuery, problems } from '../../http/kit.ts';
import { replanMergeRequest } from '../../plan/store.ts';
import { DELIVERY_VERDICTS, type Delivery, deliveryOf, listDeliveries } from '../../source/deliveries-store.ts';
import type { Source } from '../../source/source.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import { findSource } from './find.ts';

type Deps = { store: Store };

/** The requests that git hosts posted to a source's `hookUrl`. */
export const deliveryRoutes = (deps: Deps) => mount(listAll(deps), redeliver(deps));

const tags = ['Sources'];

const DeliveryView = z
  .object({
    deliveryId: z
      .string()
      .openapi({ description: 'The id that the sender gave; an id of the service for a delivery that was not accepted' }),
    provider: z.string(),
    event: z.enum(['push', 'tag', 'merge_request']).nullable(),
    ref: z.string().nullable(),
    commit: z.string().nullable(),
    verdict: z.enum(DELIVERY_VERDICTS),
    detail: z.string().nullable().openapi({ description: 'Why the delivery was not accepted' }),
    receivedAt: z.iso.datetime(),
  })
  .openapi('Delivery');

const listAll = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/sources/{id}/deliveries',
      tags,
      role: 'viewer',
      request: { params: z.object({ id: z.uuid() }), query: PageQuery },
      item: DeliveryView,
      description: 'Webhook deliveries, newest first; of refused and repeated ones at most one per second and verdict',
    }),
    async (c) => {
      const source = await findSource(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const answer = await readPage(c.req.valid('query'), {
        after: decodeNumberCursor,
        rows: (after, limit) => listDeliveries(sql, source, after, limit),
        key: (delivery) => delivery.position,
        view,
      });
      return c.json(answer, 200);
    },
  );

const redeliver = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/sources/{id}/deliveries/{deliveryId}/redeliver',
      tags,
      middleware: [role('operator')] as const,
      request: { params: z.object({ id: z.uuid(), deliveryId: z.string().min(1).max(200) }) },
      responses: {
        202: json(z.object({ queued: z.boolean() }), 'The source is checked now, as if the delivery arrived again'),
        ...problems,
      },
    }),
    async (c) => {
      const { id, deliveryId } = c.req.valid('param');
      const source = await findSource(store.sql, c.get('actor').organizationId, id);
      const { provider, event, ref, commitOid: commit } = await findTaken(store, source, deliveryId);
      const { organizationId } = source;
      const entry = { action: 'source.redeliver', subject: `source:${id}`, detail: { deliveryId } };
      await audited(callerOf(c), store, entry, async ({ tx, emit, enqueue }) => {
        // Nothing waits for that commit: the remote may have replaced it long ago.
        const isMergeRequest = event === 'merge_request' && ref !== null;
        const requestId = isMergeRequest ? await replanMergeRequest(tx, { organizationId, sourceId: id }, ref) : undefined;
        if (requestId === undefined) enqueue('source', id);
        else enqueue('merge_request', requestId);
        const data = { provider, ref, commit, deliveryId, redelivered: true };
        emit({ organizationId, type: 'hook.received', subject: `source:${id}`, data });
      });
      return c.json({ queued: true }, 202);
    },
  );

/** @throws Problem `not_found`, `delivery_not_taken` */
async function findTaken({ sql }: Store, source: Source, deliveryId: string): Promise<Delivery> {
  const delivery = await deliveryOf(sql, source, deliveryId);
  if (delivery === undefined) throw notFound('delivery', deliveryId);
  if (delivery.verdict === 'accepted' || delivery.verdict === 'other_ref') return delivery;
  throw conflict(
    'delivery_not_taken',
    `Cannot redeliver "${deliveryId}": its verdict is "${delivery.verdict}", must be "accepted" or "other_ref"`,
  );
}

function view({ deliveryId, provider, event, ref, commitOid, verdict, detail, receivedAt }: Delivery): z.output<typeof DeliveryView> {
  return { deliveryId, provider, event, ref, commit: commitOid, verdict, detail, receivedAt: receivedAt.toISOString() };
}
