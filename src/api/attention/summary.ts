import { createRoute, z } from '@hono/zod-openapi';
import {
  countIntegrations,
  countSources,
  type Progress,
  progressOf,
  type RunningRollout,
  runningRollouts,
} from '../../attention/store/summary.ts';
import { countFleet } from '../../device/store/counts.ts';
import { eventBounds } from '../../event/store.ts';
import type { Store } from '../../event/transact.ts';
import { json, problems } from '../../http/kit.ts';
import { ROLLOUT_STATES } from '../../rollout/rollout.ts';
import { mount, operation, role } from '../env.ts';

type Deps = { store: Store };

/** The whole organization in one answer, for an overview. */
export const summaryRoutes = (deps: Deps) => mount(show(deps));

const Counts = z.record(z.string(), z.number().int());

const Running = z.object({
  id: z.string(),
  sourceId: z.string(),
  sourceName: z.string(),
  revisionId: z.string(),
  commit: z.string(),
  state: z.enum(ROLLOUT_STATES),
  waiting: z.object({ code: z.string(), detail: z.string() }).nullable(),
  startedAt: z.iso.datetime().nullable(),
  succeeded: z.number().int(),
  failed: z.number().int(),
  open: z.number().int(),
  remaining: z.number().int().openapi({ description: 'Devices that it has not started' }),
  percent: z.number().int().openapi({ description: 'Share of its devices that ended, from 0 to 100' }),
});

const Summary = z
  .object({
    devices: z.object({ total: z.number().int(), byStatus: Counts, byConnectivity: Counts, bySourceKind: Counts }),
    rollouts: z.object({ running: z.array(Running), more: z.number().int() }),
    sources: z.object({ total: z.number().int(), held: z.number().int(), byStatus: Counts }),
    integrations: z.object({
      total: z.number().int(),
      active: z.number().int(),
      blocked: z.number().int(),
      stale: z.number().int(),
      openConflicts: z.number().int(),
    }),
    cursor: z.number().int().openapi({ description: 'The counts are true at this event; later ones may change them' }),
  })
  .openapi('Summary');

/** One answer shows at most this many rollouts. */
const MAX_ROLLOUTS = 20;

const show = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/summary',
      tags: ['Attention'],
      middleware: [role('viewer')] as const,
      responses: { 200: json(Summary, 'Devices by state, running rollouts, sources and integrations'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { last: cursor } = await eventBounds(sql, organizationId);
      const [fleet, rollouts, sources, integrations] = await Promise.all([
        countFleet(sql, organizationId, {}),
        runningRollouts(sql, organizationId, MAX_ROLLOUTS),
        countSources(sql, organizationId),
        countIntegrations(sql, organizationId),
      ]);
      const running = await Promise.all(rollouts.map(async (each) => viewRunning(each, await progressOf(sql, organizationId, each))));
      const { total, byStatus, byConnectivity, bySourceKind } = fleet;
      const more = Math.max(0, (rollouts[0]?.total ?? 0) - rollouts.length);
      return c.json(
        { devices: { total, byStatus, byConnectivity, bySourceKind }, rollouts: { running, more }, sources, integrations, cursor },
        200,
      );
    },
  );

function viewRunning({ total: _total, startedAt, ...rollout }: RunningRollout, progress: Progress): z.output<typeof Running> {
  const ended = progress.succeeded + progress.failed;
  const all = ended + progress.open + progress.remaining;
  return { ...rollout, startedAt: startedAt?.toISOString() ?? null, ...progress, percent: all === 0 ? 0 : Math.floor((100 * ended) / all) };
}
