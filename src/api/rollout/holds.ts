import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import type { Config } from '../../config.ts';
import type { SecretBox } from '../../crypto/secret-box.ts';
import { notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import type { GitHosts } from '../../git/hosts.ts';
import type { AddressGuard } from '../../git/http/address-guard.ts';
import { body, json, problems } from '../../http/kit.ts';
import { holdSite, releaseSite } from '../../organization/store.ts';
import { liftHold } from '../../rollout/release.ts';
import { pushRevert, rollBackSource } from '../../rollout/rollback.ts';
import { newestRollout } from '../../rollout/store/store.ts';
import { rolloutsOfSite } from '../../rollout/store/targets.ts';
import { holdSource, type Hold as StoredHold } from '../../source/store.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { lockFoundSource } from '../source/find.ts';
import { findRollout } from './find.ts';
import { RollbackSource, RolloutView, viewRollout } from './schemas.ts';

type Deps = { store: Store };
/** A rollback may push its revert commit to the source's repository. */
type RollbackDeps = Deps & { config: Config; hosts: GitHosts; guard: AddressGuard; box: SecretBox };

/** Holds of sources and sites. The rollback of a source implies a hold of that source. */
export const holdRoutes = (deps: RollbackDeps) =>
  mount(holdOneSource(deps), releaseOneSource(deps), rollBackOneSource(deps), holdOneSite(deps), releaseOneSite(deps));

const Id = z.object({ id: z.uuid() });
const NewHold = z.strictObject({ reason: z.string().trim().min(1).max(500).default('held by an operator') });
const Hold = z.object({ at: z.iso.datetime(), by: z.string(), reason: z.string() }).nullable().openapi('Hold');
const Held = z.object({ id: z.string(), hold: Hold });
const Released = Held.extend({
  notStarted: z.string().nullable().openapi({
    description:
      'Why the release started no rollout: the rollout of this revision was aborted. A newer commit or POST /rollouts starts one',
  }),
});
const Rollback = z.object({
  rollout: RolloutView,
  branch: z
    .object({ name: z.string(), commit: z.string().nullable(), error: z.object({ code: z.string(), detail: z.string() }).nullable() })
    .nullable()
    .openapi({ description: 'The pushed revert commit, or why it was not pushed' }),
});

const holdOneSource = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/sources/{id}/hold',
      tags: ['Sources'],
      middleware: [role('operator')] as const,
      request: { params: Id, body: body(NewHold) },
      responses: { 200: json(Held, 'Its rollouts start no more devices; newer commits are only stored'), ...problems },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { reason } = c.req.valid('json');
      const { organizationId, name: by } = c.get('actor');
      const entry = { action: 'source.hold', subject: `source:${id}`, detail: { reason } };
      const hold = await audited(callerOf(c), store, entry, async (unit) => {
        await lockFoundSource(unit.tx, organizationId, id);
        const stored = await holdSource(unit.tx, id, { by, reason });
        if (stored === undefined) throw notFound('source', id);
        unit.emit({ organizationId, type: 'source.held', subject: `source:${id}`, data: { by, reason } });
        const rollout = await newestRollout(unit.tx, organizationId, id);
        if (rollout !== undefined) unit.enqueue('rollout', rollout.id);
        return stored;
      });
      return c.json({ id, hold: viewHold(hold) }, 200);
    },
  );

const releaseOneSource = ({ store }: Deps) =>
  operation(
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
      const notStarted = await audited(callerOf(c), store, { action: 'source.release', subject: `source:${id}` }, async (unit) => {
        const source = await lockFoundSource(unit.tx, organizationId, id);
        return source.heldAt === null ? null : liftHold(unit, source, createdBy);
      });
      return c.json({ id, hold: null, notStarted }, 200);
    },
  );

const rollBackOneSource = (deps: RollbackDeps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/sources/{id}/rollback',
      tags: ['Sources'],
      middleware: [role('operator')] as const,
      request: { params: Id, body: body(RollbackSource) },
      responses: {
        201: json(Rollback, 'Its devices roll back to an older revision, and the source is held there; Git does not change'),
        ...problems,
      },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { to, policy, reason, branch } = c.req.valid('json');
      const { organizationId, name: by } = c.get('actor');
      const entry = { action: 'source.rollback', subject: `source:${id}`, detail: { to, reason, branch } };
      const { source, revision, rolloutId } = await audited(callerOf(c), deps.store, entry, async (unit) => {
        const locked = await lockFoundSource(unit.tx, organizationId, id);
        return { source: locked, ...(await rollBackSource(unit, locked, { to, policy, reason, by })) };
      });
      const rollout = await findRollout(deps.store.sql, organizationId, rolloutId);
      const revert = branch === undefined ? null : { branch, by, reason, at: rollout.createdAt };
      const pushed = revert === null ? null : await pushRevert(deps, source, revision, revert);
      return c.json({ rollout: viewRollout(rollout), branch: pushed }, 201);
    },
  );

const holdOneSite = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/sites/{id}/hold',
      tags: ['Devices'],
      middleware: [role('operator')] as const,
      request: { params: Id, body: body(NewHold) },
      responses: { 200: json(Held, 'The devices of the site keep their present bundles'), ...problems },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { reason } = c.req.valid('json');
      const { organizationId, name: by } = c.get('actor');
      const entry = { action: 'site.hold', subject: `site:${id}`, detail: { reason } };
      const hold = await audited(callerOf(c), store, entry, async (unit) => {
        const stored = await holdSite(unit.tx, organizationId, id, { by, reason });
        if (stored === undefined) throw notFound('site', id);
        unit.emit({ organizationId, type: 'site.held', subject: `site:${id}`, data: { by, reason } });
        return stored;
      });
      return c.json({ id, hold: viewHold(hold) }, 200);
    },
  );

const releaseOneSite = ({ store }: Deps) =>
  operation(
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

function viewHold(hold: StoredHold): z.output<typeof Hold> {
  return { ...hold, at: hold.at.toISOString() };
}
