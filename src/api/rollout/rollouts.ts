import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { audited } from '../../audit/audited.ts';
import { isDeviceId } from '../../device/device.ts';
import { conflict, notFound } from '../../errors.ts';
import type { Unit } from '../../event/transact.ts';
import { addressOf } from '../../http/address.ts';
import { body, decodeCursor, decodeIdCursor, etagOf, json, PageQuery, page, problems, toPage } from '../../http/kit.ts';
import { releaseCandidates, revisionOf } from '../../revision/store.ts';
import { abort, decide, override, pause, resume, retryFailed, skipWave } from '../../rollout/commands.ts';
import { OUT_WORDS } from '../../rollout/decide/gates.ts';
import { policyFor, startRollout } from '../../rollout/release.ts';
import { isActive, ROLLOUT_STATES, type Rollout } from '../../rollout/rollout.ts';
import { approvalsOf } from '../../rollout/store/approvals.ts';
import { rolloutDevices } from '../../rollout/store/counts.ts';
import { loadSnapshot } from '../../rollout/store/load.ts';
import { listRollouts, lockRollout, rolloutOf, wavesOf } from '../../rollout/store/store.ts';
import { lockSource } from '../../source/store.ts';
import { callerOf, createApi, type Env, role } from '../env.ts';
import type { Services } from '../services.ts';
import {
  Abort,
  type COUNTS,
  Decision,
  NewRollout,
  Outcome,
  Reason,
  Retry,
  RolloutDetail,
  RolloutDevice,
  RolloutView,
  viewApproval,
  viewRollout,
  viewRolloutDevice,
  viewWaves,
} from './schemas.ts';

const tags = ['Rollouts'];
const Id = z.object({ id: z.uuid() });

/** List, look, start; pause, resume, approve, reject, abort, retry, skip a wave, override the windows. */
export function rolloutRoutes(services: Services) {
  const { store, config } = services;
  const find = async (c: Context<Env>, id: string) => {
    const rollout = await rolloutOf(store.sql, c.get('actor').organizationId, id);
    if (rollout === undefined) throw notFound('rollout', id);
    return rollout;
  };
  /** One act on the locked rollout. @returns it as it is afterwards */
  const onRollout = async (
    c: Context<Env>,
    action: string,
    id: string,
    detail: object,
    work: (unit: Unit, rollout: Rollout) => Promise<unknown>,
  ) => {
    const { organizationId } = c.get('actor');
    await audited(callerOf(c), store, { action: `rollout.${action}`, subject: `rollout:${id}`, detail: { ...detail } }, async (unit) => {
      const rollout = await lockRollout(unit.tx, organizationId, id);
      if (rollout === undefined) throw notFound('rollout', id);
      await work(unit, rollout);
    });
    return viewRollout(await find(c, id));
  };
  const doing = <Body extends z.ZodType>(
    path: `/rollouts/{id}/${string}`,
    schema: Body,
    description: string,
    needed: 'operator' | 'admin' = 'operator',
  ) =>
    createRoute({
      method: 'post',
      path,
      tags,
      middleware: [role(needed)] as const,
      request: { params: Id, body: body(schema) },
      responses: { 200: json(RolloutView, description), ...problems },
    });
  const by = (c: Context<Env>) => c.get('actor').name;

  return createApi()
    .openapi(
      createRoute({
        method: 'get',
        path: '/rollouts',
        tags,
        middleware: [role('viewer')] as const,
        request: { query: PageQuery.extend({ sourceId: z.uuid().optional(), state: z.enum(ROLLOUT_STATES).optional() }) },
        responses: { 200: json(page(RolloutView), 'Rollouts, newest first'), ...problems },
      }),
      async (c) => {
        const { limit, cursor, ...filter } = c.req.valid('query');
        const rows = await listRollouts(store.sql, c.get('actor').organizationId, filter, decodeIdCursor(cursor), limit + 1);
        return c.json(
          toPage(rows, limit, (rollout) => rollout.id, viewRollout),
          200,
        );
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/rollouts',
        tags,
        middleware: [role('operator')] as const,
        request: { body: body(NewRollout) },
        responses: {
          201: json(RolloutView, 'What the source holds goes to its devices (again); replaces the rollout under way'),
          ...problems,
        },
      }),
      async (c) => {
        const { sourceId, policy, reason } = c.req.valid('json');
        const { organizationId } = c.get('actor');
        const subject = `source:${sourceId}`;
        const id = await audited(callerOf(c), store, { action: 'rollout.start', subject, detail: { reason, policy } }, async (unit) => {
          const source = await lockSource(unit.tx, sourceId);
          if (source === undefined || source.organizationId !== organizationId) throw notFound('source', sourceId);
          if (source.heldAt !== null)
            throw conflict('source_held', `Cannot start a rollout of "${source.name}": it is held by ${source.heldBy}`);
          const revision = source.revisionId === null ? undefined : await revisionOf(unit.tx, organizationId, source.revisionId);
          if (revision === undefined || revision.verdict === 'invalid')
            throw conflict('no_revision', `Cannot start a rollout of "${source.name}": its head is not a valid revision`);
          const start = {
            revisionId: revision.id,
            commit: revision.commit,
            policy: policy ?? policyFor(source, revision.rolloutPolicy),
            reason,
          };
          // A revision that a release left alone goes out when a person asks for it.
          const released = await releaseCandidates(unit.tx, { organizationId, sourceId });
          return startRollout(unit, source, { ...start, createdBy: by(c) }, released);
        });
        return c.json(viewRollout(await find(c, id)), 201);
      },
    )
    .openapi(
      createRoute({
        method: 'get',
        path: '/rollouts/{id}',
        tags,
        middleware: [role('viewer')] as const,
        request: { params: Id },
        responses: { 200: json(RolloutDetail, 'The rollout with its waves, gates and counts'), ...problems },
      }),
      async (c) => {
        const rollout = await find(c, c.req.valid('param').id);
        return c.json(await detailOf(services, rollout), 200, { etag: etagOf(rollout.version) });
      },
    )
    .openapi(
      createRoute({
        method: 'get',
        path: '/rollouts/{id}/devices',
        tags,
        middleware: [role('viewer')] as const,
        request: {
          params: Id,
          query: PageQuery.extend({ outcome: Outcome.optional(), wave: z.coerce.number().int().min(0).max(100).optional() }),
        },
        responses: { 200: json(page(RolloutDevice), 'Devices that it has taken, and what became of each'), ...problems },
      }),
      async (c) => {
        const rollout = await find(c, c.req.valid('param').id);
        const { limit, cursor, ...filter } = c.req.valid('query');
        const after = decodeCursor(cursor, isDeviceId) ?? '';
        const rows = await rolloutDevices(store.sql, rollout, filter, after, limit + 1);
        return c.json(
          toPage(rows, limit, (device) => device.deviceId, viewRolloutDevice),
          200,
        );
      },
    )
    .openapi(doing('/rollouts/{id}/pause', Reason, 'No more devices are started'), async (c) => {
      const { reason } = c.req.valid('json');
      const view = await onRollout(c, 'pause', c.req.valid('param').id, { reason }, (unit, rollout) => pause(unit, rollout, by(c), reason));
      return c.json(view, 200);
    })
    .openapi(doing('/rollouts/{id}/resume', Reason, 'It goes on'), async (c) => {
      const { reason } = c.req.valid('json');
      return c.json(
        await onRollout(c, 'resume', c.req.valid('param').id, { reason }, (unit, rollout) => resume(unit, rollout, by(c))),
        200,
      );
    })
    .openapi(doing('/rollouts/{id}/approve', Decision, 'What awaited approval goes on'), async (c) => {
      const answer = {
        decision: 'approved' as const,
        from: addressOf(c, config.TRUST_PROXY),
        comment: c.req.valid('json').comment ?? null,
      };
      const view = await onRollout(c, 'approve', c.req.valid('param').id, answer, (unit, rollout) =>
        decide(unit, rollout, c.get('actor'), answer),
      );
      return c.json(view, 200);
    })
    .openapi(doing('/rollouts/{id}/reject', Decision, 'It is aborted instead of approved'), async (c) => {
      const answer = {
        decision: 'rejected' as const,
        from: addressOf(c, config.TRUST_PROXY),
        comment: c.req.valid('json').comment ?? null,
      };
      const view = await onRollout(c, 'reject', c.req.valid('param').id, answer, (unit, rollout) =>
        decide(unit, rollout, c.get('actor'), answer),
      );
      return c.json(view, 200);
    })
    .openapi(doing('/rollouts/{id}/abort', Abort, 'It is over; devices that have not begun are left as they are'), async (c) => {
      const wanted = c.req.valid('json');
      const view = await onRollout(c, 'abort', c.req.valid('param').id, wanted, (unit, rollout) =>
        abort(unit, rollout, by(c), wanted.reason, wanted.revert),
      );
      return c.json(view, 200);
    })
    .openapi(doing('/rollouts/{id}/retry', Retry, 'Devices that failed in it get another attempt'), async (c) => {
      const { deviceIds } = c.req.valid('json');
      const view = await onRollout(c, 'retry', c.req.valid('param').id, { deviceIds }, (unit, rollout) =>
        retryFailed(unit, rollout, by(c), deviceIds),
      );
      return c.json(view, 200);
    })
    .openapi(doing('/rollouts/{id}/skip-wave', Reason, 'The present wave counts as passed, whatever its gate says'), async (c) => {
      const { reason } = c.req.valid('json');
      return c.json(
        await onRollout(c, 'skip_wave', c.req.valid('param').id, { reason }, (unit, rollout) => skipWave(unit, rollout, by(c))),
        200,
      );
    })
    .openapi(doing('/rollouts/{id}/override-windows', Reason, 'It goes on outside of its windows', 'admin'), async (c) => {
      const { reason } = c.req.valid('json');
      const view = await onRollout(c, 'override_windows', c.req.valid('param').id, { reason }, (unit, rollout) =>
        override(unit, rollout, by(c), reason),
      );
      return c.json(view, 200);
    });
}

async function detailOf({ store: { sql } }: Services, rollout: Rollout): Promise<z.output<typeof RolloutDetail>> {
  const [rows, approvals, snapshot] = await Promise.all([
    wavesOf(sql, rollout),
    approvalsOf(sql, rollout),
    loadSnapshot(sql, rollout, rollout.state !== 'superseded'),
  ]);
  const waves = viewWaves(rollout, rows, snapshot);
  const sum = (key: keyof typeof COUNTS) => waves.reduce((total, wave) => total + wave[key], 0);
  return {
    ...viewRollout(rollout),
    counts: {
      offline: sum('offline'),
      open: sum('open'),
      succeeded: sum('succeeded'),
      failed: sum('failed'),
      quarantined: sum('quarantined'),
    },
    remaining: isActive(rollout.state) ? snapshot.eligible.total : 0,
    waves,
    out: (snapshot.evidence?.out ?? []).map(({ deviceId, why }) => ({ deviceId, why, detail: `${deviceId} ${OUT_WORDS[why]}` })),
    moreOut: Math.max(0, (snapshot.evidence?.outTotal ?? 0) - (snapshot.evidence?.out.length ?? 0)),
    approvals: approvals.map(viewApproval),
  };
}
