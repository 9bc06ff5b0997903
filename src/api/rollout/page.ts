import { createRoute, z } from '@hono/zod-openapi';
import { notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { json, problems } from '../../http/kit.ts';
import { revisionOf } from '../../revision/store.ts';
import { effectsOf, ROLLOUT_ACTS } from '../../rollout/decide/effects.ts';
import { graphOf, STEP_KINDS, STEP_STATES } from '../../rollout/graph.ts';
import { isActive } from '../../rollout/rollout.ts';
import { approvalsOf } from '../../rollout/store/approvals.ts';
import { CELL_STATES, cellsOf } from '../../rollout/store/cells.ts';
import { loadSnapshot } from '../../rollout/store/load.ts';
import { wavesOf } from '../../rollout/store/store.ts';
import { countTargets } from '../../rollout/store/targets.ts';
import { sourceOf } from '../../source/store.ts';
import { mount, operation, role } from '../env.ts';
import { findRollout } from './find.ts';

type Deps = { store: Store };

/** Everything that a page about one rollout shows beside its detail. */
export const rolloutPageRoutes = (deps: Deps) => mount(showGraph(deps), showCells(deps), showEffects(deps));

const time = z.iso.datetime();
const count = z.number().int();

const Step = z.object({
  id: z.string(),
  kind: z.enum(STEP_KINDS),
  name: z.string(),
  state: z.enum(STEP_STATES),
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
  durationMs: z.number().nullable(),
  reason: z.string().nullable(),
  wave: count.nullable(),
  numbers: z
    .object({
      succeeded: count,
      failed: count,
      open: count,
      offline: count,
      quarantined: count,
      neededSucceeded: count.nullable().openapi({ description: 'Successes that the gate requires' }),
      neededPercent: z.number().nullable().openapi({ description: 'Share of successes that the gate requires' }),
      budget: z.string().nullable().openapi({ description: 'Error budget of the rollout: a number of devices or a share' }),
    })
    .nullable(),
  bakeUntil: time.nullable(),
});

const Graph = z
  .object({ rolloutId: z.string(), sourceId: z.string(), revisionId: z.string(), commit: z.string(), steps: z.array(Step) })
  .openapi('RolloutGraph');

const CellsView = z
  .object({
    rolloutId: z.string(),
    cursor: count.openapi({
      description: 'The cells are true at this event: subscribe to rollout:<id> with `after` and apply later events',
    }),
    states: z.array(z.enum(CELL_STATES)),
    ids: z.array(z.string()),
    wave: z.array(count.nullable()).openapi({ description: 'Wave of each device; null: not known before it starts' }),
    state: z.array(count).openapi({ description: 'Index in `states` of each device' }),
    more: count.openapi({ description: 'Greater than 0: not all devices are shown' }),
  })
  .openapi('RolloutCells');

const Effects = z
  .object({
    effects: z.array(
      z.object({
        act: z.enum(ROLLOUT_ACTS),
        allowed: z.boolean(),
        starts: count.openapi({ description: 'Devices that it lets start, at once or as waves and limits allow' }),
        stops: count.openapi({ description: 'Devices that then do not start' }),
        reverts: count.openapi({ description: 'Devices that roll back' }),
        detail: z.string(),
      }),
    ),
  })
  .openapi('RolloutEffects');

const showGraph = ({ store: { sql } }: Deps) =>
  operation(route('graph', json(Graph, 'The way of the commit to its devices: steps with state, times and reasons')), async (c) => {
    const { organizationId } = c.get('actor');
    const rollout = await findRollout(sql, organizationId, c.req.valid('param').id);
    const [revision, source, rows, approvals, snapshot] = await Promise.all([
      revisionOf(sql, organizationId, rollout.revisionId),
      sourceOf(sql, organizationId, rollout.sourceId),
      wavesOf(sql, rollout),
      approvalsOf(sql, rollout),
      loadSnapshot(sql, rollout, rollout.state !== 'superseded'),
    ]);
    if (revision === undefined || source === undefined) throw notFound('revision', rollout.revisionId);
    const steps = graphOf({ rollout, revision, sourceName: source.name, rows, approvals, snapshot });
    const iso = (at: Date | null) => at?.toISOString() ?? null;
    const { id: rolloutId, sourceId, revisionId } = rollout;
    const shown = steps.map((step) => ({
      ...step,
      startedAt: iso(step.startedAt),
      finishedAt: iso(step.finishedAt),
      bakeUntil: iso(step.bakeUntil),
    }));
    return c.json({ rolloutId, sourceId, revisionId, commit: revision.commit, steps: shown }, 200);
  });

const showCells = ({ store: { sql } }: Deps) =>
  operation(route('cells', json(CellsView, 'Every device of the rollout with its wave and state, as columns')), async (c) => {
    const rollout = await findRollout(sql, c.get('actor').organizationId, c.req.valid('param').id);
    const { cursor, cells, more } = await cellsOf(sql, rollout, isActive(rollout.state));
    const answer = {
      ...{ rolloutId: rollout.id, cursor, more, states: [...CELL_STATES] },
      ids: cells.map(({ id }) => id),
      wave: cells.map(({ wave }) => wave),
      state: cells.map(({ state }) => CELL_STATES.indexOf(state)),
    };
    return c.json(answer, 200);
  });

const showEffects = ({ store: { sql } }: Deps) =>
  operation(route('effects', json(Effects, 'How many devices each act would touch now')), async (c) => {
    const rollout = await findRollout(sql, c.get('actor').organizationId, c.req.valid('param').id);
    const [snapshot, targets] = await Promise.all([loadSnapshot(sql, rollout, isActive(rollout.state)), countTargets(sql, rollout)]);
    const effects = effectsOf(snapshot, targets).map(({ isAllowed: allowed, ...effect }) => ({ ...effect, allowed }));
    return c.json({ effects }, 200);
  });

function route<const Name extends string, Answer extends ReturnType<typeof json>>(name: Name, answer: Answer) {
  return createRoute({
    method: 'get',
    path: `/rollouts/{id}/${name}`,
    tags: ['Rollouts'],
    middleware: [role('viewer')] as const,
    request: { params: z.object({ id: z.uuid() }) },
    responses: { 200: answer, ...problems },
  });
}
