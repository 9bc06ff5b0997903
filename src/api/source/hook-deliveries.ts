import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { conflict, notFound } from '../../errors.ts';
import { decodeNumberCursor, json, PageQuery, page, problems, toPage } from '../../http/kit.ts';
import { wakeMergeRequest } from '../../plan/store.ts';
import { DELIVERY_VERDICTS, type Delivery, deliveryOf, listDeliveries } from '../../source/deliveries-store.ts';
import { sourceOf } from '../../source/store.ts';
import { callerOf, createApi, role } from '../env.ts';
import type { Services } from '../services.ts';

const tags = ['Sources'];

const DeliveryView = z
  .object({
    deliveryId: z.string().openapi({ description: 'As the sender named it; of a delivery that was not taken, an id of ours' }),
    provider: z.string(),
    event: z.enum(['push', 'tag', 'merge_request']).nullable(),
    ref: z.string().nullable(),
    commit: z.string().nullable(),
    verdict: z.enum(DELIVERY_VERDICTS),
    detail: z.string().nullable().openapi({ description: 'Why it was not taken' }),
    receivedAt: z.iso.datetime(),
  })
  .openapi('Delivery');

/** What git hosts posted to a source's `hookUrl`. */
export function deliveryRoutes({ store }: Services) {
  const find = async (organizationId: string, id: string) => {
    const source = await sourceOf(store.sql, organizationId, id);
    if (source === undefined) throw notFound('source', id);
    return source;
  };
  return createApi()
    .openapi(
      createRoute({
        method: 'get',
        path: '/sources/{id}/deliveries',
        tags,
        middleware: [role('viewer')] as const,
        request: { params: z.object({ id: z.uuid() }), query: PageQuery },
        responses: {
          200: json(
            page(DeliveryView),
            'Webhook deliveries, newest first; of refused and repeated ones at most one per second and verdict',
          ),
          ...problems,
        },
      }),
      async (c) => {
        const { limit, cursor } = c.req.valid('query');
        const source = await find(c.get('actor').organizationId, c.req.valid('param').id);
        const rows = await listDeliveries(store.sql, source, decodeNumberCursor(cursor), limit + 1);
        return c.json(
          toPage(rows, limit, (delivery) => delivery.position, view),
          200,
        );
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/sources/{id}/deliveries/{deliveryId}/redeliver',
        tags,
        middleware: [role('operator')] as const,
        request: { params: z.object({ id: z.uuid(), deliveryId: z.string().min(1).max(200) }) },
        responses: {
          202: json(z.object({ queued: z.boolean() }), 'The source is looked at now, as if the delivery came again'),
          ...problems,
        },
      }),
      async (c) => {
        const { id, deliveryId } = c.req.valid('param');
        const source = await find(c.get('actor').organizationId, id);
        const delivery = await deliveryOf(store.sql, source, deliveryId);
        if (delivery === undefined) throw notFound('delivery', deliveryId);
        if (delivery.verdict !== 'accepted' && delivery.verdict !== 'other_ref')
          throw conflict(
            'delivery_not_taken',
            `Cannot redeliver "${deliveryId}": its verdict is "${delivery.verdict}", must be "accepted" or "other_ref"`,
          );
        const { provider, ref, commitOid: commit } = delivery;
        const isMergeRequest = delivery.event === 'merge_request' && ref !== null;
        await audited(
          callerOf(c),
          store,
          { action: 'source.redeliver', subject: `source:${id}`, detail: { deliveryId } },
          async ({ tx, emit, enqueue }) => {
            // Nothing is waited for: the remote may have left that commit behind long ago.
            const requestId = isMergeRequest
              ? await wakeMergeRequest(tx, { organizationId: source.organizationId, sourceId: id }, ref)
              : undefined;
            if (requestId === undefined) enqueue('source', id);
            else enqueue('merge_request', requestId);
            emit({
              organizationId: source.organizationId,
              type: 'hook.received',
              subject: `source:${id}`,
              data: { provider, ref, commit, deliveryId, redelivered: true },
            });
          },
        );
        return c.json({ queued: true }, 202);
      },
    );
}

function view({ deliveryId, provider, event, ref, commitOid, verdict, detail, receivedAt }: Delivery): z.output<typeof DeliveryView> {
  return { deliveryId, provider, event, ref, commit: commitOid, verdict, detail, receivedAt: receivedAt.toISOString() };
}
