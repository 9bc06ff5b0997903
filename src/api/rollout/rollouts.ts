import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import type { Sql } from '../../db/connect.ts';
import { isDeviceId } from '../../device/device.ts';
import { conflict } from '../../errors.ts';
import type { Store, Unit } from '../../event/transact.ts';
import { body, decodeCursor, decodeIdCursor, etagOf, json, PageQuery, problems } from '../../http/kit.ts';
import { type Revision, releaseCandidates, revisionOf } from '../../revision/store.ts';
import { OUT_WORDS } from '../../rollout/decide/gates.ts';
import { policyFor, startRollout } from '../../rollout/release.ts';
import { isActive, ROLLOUT_STATES, type Rollout } from '../../rollout/rollout.ts';
import { approvalsOf } from '../../rollout/store/approvals.ts';
import { rolloutDevices } from '../../rollout/store/counts.ts';
import { loadSnapshot } from '../../rollout/store/load.ts';
import { listRollouts, wavesOf } from '../../rollout/store/store.ts';
import type { Source } from '../../source/source.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import { lockFoundSource } from '../source/find.ts';
import { findRollout } from './find.ts';
import {
  type COUNTS,
  NewRollout,
  Outcome,
  RolloutDetail,
  RolloutDevice,
  RolloutView,
  viewApproval,
  viewRollout,
  viewRolloutDevice,
  viewWaves,
} from './schemas.ts';

type Deps = { store: Store };

export const rolloutRoutes = (deps: Deps) => mount(listAll(deps), start(deps), show(deps), listDevices(deps));

const tags = ['Rollouts'];
const Id = z.object({ id: z.uuid() });
const RolloutsQuery = PageQuery.extend({ sourceId: z.uuid().optional(), state: z.enum(ROLLOUT_STATES).optional() });
const DevicesQuery = PageQuery.extend({ outcome: Outcome.optional(), wave: z.coerce.number().int().min(0).max(100).optional() });

const listAll = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/rollouts',
      tags,
      role: 'viewer',
      request: { query: RolloutsQuery },
      item: RolloutView,
      description: 'Rollouts, newest first',
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { sourceId, state, ...query } = c.req.valid('query');
      const answer = await readPage(query, {
        after: decodeIdCursor,
        rows: (after, limit) => listRollouts(sql, organizationId, { sourceId, state }, after, limit),
        key: (rollout) => rollout.id,
        view: viewRollout,
      });
      return c.json(answer, 200);
    },
  );

const start = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/rollouts',
      tags,
      middleware: [role('operator')] as const,
      request: { body: body(NewRollout) },
      responses: {
        201: json(RolloutView, 'Rolls out the source’s present revision (again); replaces the running rollout'),
        ...problems,
      },
    }),
    async (c) => {
      const { sourceId, policy, reason } = c.req.valid('json');
      const { organizationId, name: createdBy } = c.get('actor');
      const entry = { action: 'rollout.start', subject: `source:${sourceId}`, detail: { reason, policy } };
      const id = await audited(callerOf(c), store, entry, async (unit) => {
        const source = await lockFoundSource(unit.tx, organizationId, sourceId);
        const { id: revisionId, commit, rolloutPolicy } = await startableRevision(unit, source);
        const wanted = { revisionId, commit, policy: policy ?? policyFor(source, rolloutPolicy), reason, createdBy };
        // A person may start a revision that a release left alone.
        const released = await releaseCandidates(unit.tx, { organizationId, sourceId });
        return startRollout(unit, source, wanted, released);
      });
      return c.json(viewRollout(await findRollout(store.sql, organizationId, id)), 201);
    },
  );

const show = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/rollouts/{id}',
      tags,
      middleware: [role('viewer')] as const,
      request: { params: Id },
      responses: { 200: json(RolloutDetail, 'The rollout with its waves, gates and counts'), ...problems },
    }),
    async (c) => {
      const rollout = await findRollout(sql, c.get('actor').organizationId, c.req.valid('param').id);
      return c.json(await detailOf(sql, rollout), 200, { etag: etagOf(rollout.version) });
    },
  );

const listDevices = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/rollouts/{id}/devices',
      tags,
      role: 'viewer',
      request: { params: Id, query: DevicesQuery },
      item: RolloutDevice,
      description: 'Devices that it has started, with their outcomes',
    }),
    async (c) => {
      const rollout = await findRollout(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const { outcome, wave, ...query } = c.req.valid('query');
      const answer = await readPage(query, {
        after: (cursor) => decodeCursor(cursor, isDeviceId) ?? '',
        rows: (after, limit) => rolloutDevices(sql, rollout, { outcome, wave }, after, limit),
        key: (device) => device.deviceId,
        view: viewRolloutDevice,
      });
      return c.json(answer, 200);
    },
  );

/** @throws Problem `source_held`, `no_revision` */
async function startableRevision({ tx }: Unit, source: Source): Promise<Revision> {
  const { organizationId, name, heldAt, heldBy, revisionId } = source;
  if (heldAt !== null) throw conflict('source_held', `Cannot start a rollout of "${name}": it is held by ${heldBy}`);
  const revision = revisionId === null ? undefined : await revisionOf(tx, organizationId, revisionId);
  if (revision !== undefined && revision.verdict !== 'invalid') return revision;
  throw conflict('no_revision', `Cannot start a rollout of "${name}": its head is not a valid revision`);
}

async function detailOf(sql: Sql, rollout: Rollout): Promise<z.output<typeof RolloutDetail>> {
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
