import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { notFound } from '../../errors.ts';
import { body, json, problems } from '../../http/kit.ts';
import { holdSite, releaseSite } from '../../organization/store.ts';
import { liftHold } from '../../rollout/release.ts';
import { pushRevert, rollBackSource } from '../../rollout/rollback.ts';
import { newestRollout, rolloutOf } from '../../rollout/store/store.ts';
import { rolloutsOfSite } from '../../rollout/store/targets.ts';
import { holdSource, lockSource, type Hold as StoredHold } from '../../source/store.ts';
import { callerOf, createApi, role } from '../env.ts';
import type { Services } from '../services.ts';
import { RollbackSource, RolloutView, viewRollout } from './schemas.ts';

const Id = z.object({ id: z.uuid() });
const NewHold = z.strictObject({ reason: z.string().trim().min(1).max(500).default('held by an operator') });
const Hold = z.object({ at: z.iso.datetime(), by: z.string(), reason: z.string() }).nullable().openapi('Hold');
const Held = z.object({ id: z.string(), hold: Hold });
const Released = Held.extend({
  notStarted: z.string().nullable().openapi({
    description:
      'Why lifting the hold started no rollout: the one of this revision was aborted. A newer commit or POST /rollouts starts one',
  }),
});
const Rollback = z.object({
  rollout: RolloutView,
  branch: z
    .object({ name: z.string(), commit: z.string().nullable(), error: z.object({ code: z.string(), detail: z.string() }).nullable() })
    .nullable()
    .openapi({ description: 'The revert commit as it was pushed, or why it was not' }),
});

function viewHold(hold: StoredHold): z.output<typeof Held>['hold'] {
  return { ...hold, at: hold.at.toISOString() };
}

/** "Leave everything of this source, or at this site, where it is", and going back to an older revision, which implies it. */
export function holdRoutes(services: Services) {
  const { store } = services;
  return createApi()
    .openapi(
      createRoute({
        method: 'post',
        path: '/sources/{id}/hold',
        tags: ['Sources'],
        middleware: [role('operator')] as const,
        request: { params: Id, body: body(NewHold) },
        responses: { 200: json(Held, 'Its rollouts start no more devices, and newer commits are only noted'), ...problems },
      }),
      async (c) => {
        const { id } = c.req.valid('param');
        const { reason } = c.req.valid('json');
        const { organizationId, name: by } = c.get('actor');
        const what = { action: 'source.hold', subject: `source:${id}`, detail: { reason } };
        const hold = await audited(callerOf(c), store, what, async (unit) => {
          const source = await lockSource(unit.tx, id);
          if (source === undefined || source.organizationId !== organizationId) throw notFound('source', id);
          const stored = await holdSource(unit.tx, id, { by, reason });
          unit.emit({ organizationId, type: 'source.held', subject: `source:${id}`, data: { by, reason } });
          const rollout = await newestRollout(unit.tx, organizationId, id);
          if (rollout !== undefined) unit.enqueue('rollout', rollout.id);
          return stored;
        });
        if (hold === undefined) throw notFound('source', id);
        return c.json({ id, hold: viewHold(hold) }, 200);
      },
    )
    .openapi(
      createRoute({
        method: 'delete',
        path: '/sources/{id}/hold',
        tags: ['Sources'],
        middleware: [role('operator')] as const,
        request: { params: Id },
        responses: { 200: json(Released, 'Its devices follow Git again'), ...problems },
      }),
      async (c) => {
        const { id } = c.req.valid('param');
        const { organizationId, name: createdBy } = c.get('actor');
        let notStarted: string | null = null;
        await audited(callerOf(c), store, { action: 'source.release', subject: `source:${id}` }, async (unit) => {
          const source = await lockSource(unit.tx, id);
          if (source === undefined || source.organizationId !== organizationId) throw notFound('source', id);
          if (source.heldAt === null) return;
          notStarted = await liftHold(unit, source, createdBy);
        });
        return c.json({ id, hold: null, notStarted }, 200);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/sources/{id}/rollback',
        tags: ['Sources'],
        middleware: [role('operator')] as const,
        request: { params: Id, body: body(RollbackSource) },
        responses: {
          201: json(Rollback, 'Its devices go back to an older revision, and it is held there; Git is left alone'),
          ...problems,
        },
      }),
      async (c) => {
        const { id } = c.req.valid('param');
        const { to, policy, reason, branch } = c.req.valid('json');
        const { organizationId, name: by } = c.get('actor');
        const done = await audited(
          callerOf(c),
          store,
          { action: 'source.rollback', subject: `source:${id}`, detail: { to, reason, branch } },
          async (unit) => {
            const source = await lockSource(unit.tx, id);
            if (source === undefined || source.organizationId !== organizationId) throw notFound('source', id);
            return { source, ...(await rollBackSource(unit, source, { to, policy, reason, by })) };
          },
        );
        const rollout = await rolloutOf(store.sql, organizationId, done.rolloutId);
        if (rollout === undefined) throw notFound('rollout', done.rolloutId);
        const pushed =
          branch === undefined
            ? null
            : await pushRevert(services, done.source, done.revision, { branch, by, reason, at: rollout.createdAt });
        return c.json({ rollout: viewRollout(rollout), branch: pushed }, 201);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/sites/{id}/hold',
        tags: ['Devices'],
        middleware: [role('operator')] as const,
        request: { params: Id, body: body(NewHold) },
        responses: { 200: json(Held, 'Automation leaves the devices that stand there where they are'), ...problems },
      }),
      async (c) => {
        const { id } = c.req.valid('param');
        const { reason } = c.req.valid('json');
        const { organizationId, name: by } = c.get('actor');
        const hold = await audited(callerOf(c), store, { action: 'site.hold', subject: `site:${id}`, detail: { reason } }, async (unit) => {
          const stored = await holdSite(unit.tx, organizationId, id, { by, reason });
          if (stored === undefined) throw notFound('site', id);
          unit.emit({ organizationId, type: 'site.held', subject: `site:${id}`, data: { by, reason } });
          return stored;
        });
        return c.json({ id, hold: viewHold(hold) }, 200);
      },
    )
    .openapi(
      createRoute({
        method: 'delete',
        path: '/sites/{id}/hold',
        tags: ['Devices'],
        middleware: [role('operator')] as const,
        request: { params: Id },
        responses: { 200: json(Held, 'Its devices follow their sources again'), ...problems },
      }),
      async (c) => {
        const { id } = c.req.valid('param');
        const { organizationId, name: by } = c.get('actor');
        await audited(callerOf(c), store, { action: 'site.release', subject: `site:${id}` }, async (unit) => {
          if (!(await releaseSite(unit.tx, organizationId, id))) throw notFound('site', id);
          unit.emit({ organizationId, type: 'site.released', subject: `site:${id}`, data: { by } });
          for (const rolloutId of await rolloutsOfSite(unit.tx, organizationId, id)) unit.enqueue('rollout', rolloutId);
        });
        return c.json({ id, hold: null }, 200);
      },
    );
}
