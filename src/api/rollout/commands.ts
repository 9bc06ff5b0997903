import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { audited } from '../../audit/audited.ts';
import type { Config } from '../../config.ts';
import { notFound } from '../../errors.ts';
import type { Store, Unit } from '../../event/transact.ts';
import { addressOf } from '../../http/address.ts';
import { body, json, problems } from '../../http/kit.ts';
import { abort, decide, override, pause, resume, retryFailed, skipWave } from '../../rollout/commands.ts';
import type { Rollout } from '../../rollout/rollout.ts';
import { lockRollout } from '../../rollout/store/store.ts';
import { callerOf, type Env, mount, operation, role } from '../env.ts';
import { findRollout } from './find.ts';
import { Abort, Decision, Reason, Retry, RolloutView, viewRollout } from './schemas.ts';

type Deps = { store: Store };
type DecisionDeps = Deps & { config: Pick<Config, 'TRUST_PROXY'> };

/** Commands to a rollout under way. */
export const rolloutCommandRoutes = (deps: DecisionDeps) =>
  mount(
    pauseOne(deps),
    resumeOne(deps),
    approve(deps),
    reject(deps),
    abortOne(deps),
    retry(deps),
    skipPresentWave(deps),
    overrideWindows(deps),
  );

const pauseOne = ({ store }: Deps) =>
  operation(command('pause', Reason, 'No more devices are started'), async (c) => {
    const { reason } = c.req.valid('json');
    const work: Work = (unit, rollout, by) => pause(unit, rollout, by, reason);
    return c.json(await commandRollout(c, store, c.req.valid('param').id, 'pause', { reason }, work), 200);
  });

const resumeOne = ({ store }: Deps) =>
  operation(command('resume', Reason, 'The rollout continues'), async (c) => {
    const { reason } = c.req.valid('json');
    return c.json(await commandRollout(c, store, c.req.valid('param').id, 'resume', { reason }, resume), 200);
  });

const approve = ({ store, config }: DecisionDeps) =>
  operation(command('approve', Decision, 'The approved rollout continues'), async (c) => {
    const { comment = null } = c.req.valid('json');
    const answer = { decision: 'approved' as const, from: addressOf(c, config.TRUST_PROXY), comment };
    const work: Work = (unit, rollout) => decide(unit, rollout, c.get('actor'), answer);
    return c.json(await commandRollout(c, store, c.req.valid('param').id, 'approve', answer, work), 200);
  });

const reject = ({ store, config }: DecisionDeps) =>
  operation(command('reject', Decision, 'The rollout is aborted instead of approved'), async (c) => {
    const { comment = null } = c.req.valid('json');
    const answer = { decision: 'rejected' as const, from: addressOf(c, config.TRUST_PROXY), comment };
    const work: Work = (unit, rollout) => decide(unit, rollout, c.get('actor'), answer);
    return c.json(await commandRollout(c, store, c.req.valid('param').id, 'reject', answer, work), 200);
  });

const abortOne = ({ store }: Deps) =>
  operation(command('abort', Abort, 'The rollout ends; devices that have not begun stay unchanged'), async (c) => {
    const wanted = c.req.valid('json');
    const work: Work = (unit, rollout, by) => abort(unit, rollout, by, wanted.reason, wanted.revert);
    return c.json(await commandRollout(c, store, c.req.valid('param').id, 'abort', wanted, work), 200);
  });

const retry = ({ store }: Deps) =>
  operation(command('retry', Retry, 'Its failed devices get another attempt'), async (c) => {
    const { deviceIds } = c.req.valid('json');
    const work: Work = (unit, rollout, by) => retryFailed(unit, rollout, by, deviceIds);
    return c.json(await commandRollout(c, store, c.req.valid('param').id, 'retry', { deviceIds }, work), 200);
  });

const skipPresentWave = ({ store }: Deps) =>
  operation(command('skip-wave', Reason, 'The present wave counts as passed without its gate'), async (c) => {
    const { reason } = c.req.valid('json');
    return c.json(await commandRollout(c, store, c.req.valid('param').id, 'skip_wave', { reason }, skipWave), 200);
  });

const overrideWindows = ({ store }: Deps) =>
  operation(command('override-windows', Reason, 'The rollout continues outside of its windows', 'admin'), async (c) => {
    const { reason } = c.req.valid('json');
    const work: Work = (unit, rollout, by) => override(unit, rollout, by, reason);
    return c.json(await commandRollout(c, store, c.req.valid('param').id, 'override_windows', { reason }, work), 200);
  });

function command<const Name extends string, Body extends z.ZodType>(
  name: Name,
  schema: Body,
  description: string,
  needed: 'operator' | 'admin' = 'operator',
) {
  return createRoute({
    method: 'post',
    path: `/rollouts/{id}/${name}`,
    tags: ['Rollouts'],
    middleware: [role(needed)] as const,
    request: { params: z.object({ id: z.uuid() }), body: body(schema) },
    responses: { 200: json(RolloutView, description), ...problems },
  });
}

type Work = (unit: Unit, rollout: Rollout, by: string) => Promise<unknown>;

/** One command on the locked rollout, in one transaction with its audit line. @returns the rollout afterwards */
async function commandRollout(c: Context<Env>, store: Store, id: string, action: string, detail: object, work: Work) {
  const { organizationId, name: by } = c.get('actor');
  const entry = { action: `rollout.${action}`, subject: `rollout:${id}`, detail: { ...detail } };
  await audited(callerOf(c), store, entry, async (unit) => {
    const rollout = await lockRollout(unit.tx, organizationId, id);
    if (rollout === undefined) throw notFound('rollout', id);
    await work(unit, rollout, by);
  });
  return viewRollout(await findRollout(store.sql, organizationId, id));
}
