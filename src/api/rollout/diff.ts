import { createRoute, z } from '@hono/zod-openapi';
import type { Store } from '../../event/transact.ts';
import { json, problems } from '../../http/kit.ts';
import { diffsOf, loadSides } from '../../plan/diffs.ts';
import { isActive } from '../../rollout/rollout.ts';
import { bundleChanges } from '../../rollout/store/changes.ts';
import { mount, operation, role } from '../env.ts';
import { DiffView } from '../plan/schemas.ts';
import { findRollout } from './find.ts';

type Deps = { store: Store };

/** The files that a rollout changes. */
export const rolloutDiffRoutes = (deps: Deps) => mount(show(deps));

const RolloutDiff = z
  .object({
    diffs: z.array(DiffView.extend({ firstDevice: z.string() })).openapi({
      description:
        'Each difference between what devices ran before and the bundles of the rollout, once; those of most devices first; secrets are not shown',
    }),
    devices: z.number().int().openapi({ description: 'Devices whose files it changes' }),
    moreDiffs: z.number().int(),
    moreDevices: z.number().int().openapi({ description: 'Devices whose difference was not compared' }),
  })
  .openapi('RolloutDiff');

/** One answer compares at most this many pairs of bundles. */
const MAX_CHANGES = 1_000;

const show = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/rollouts/{id}/diff',
      tags: ['Rollouts'],
      middleware: [role('viewer')] as const,
      request: { params: z.object({ id: z.uuid() }), query: z.object({ device: z.string().max(63).optional() }) },
      responses: { 200: json(RolloutDiff, 'The files that it changes, grouped by equal differences'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const rollout = await findRollout(sql, organizationId, c.req.valid('param').id);
      const { device: deviceId } = c.req.valid('query');
      const changes = await bundleChanges(sql, rollout, { deviceId, takes: isActive(rollout.state), limit: MAX_CHANGES });
      const moves = changes.map(({ from, to, devices, firstDevice }) => ({ id: firstDevice, from, to, devices }));
      const digests = moves.flatMap(({ from, to }) => [from, to]).filter((digest) => digest !== null);
      const { shown, byDevice, more } = await diffsOf(moves, await loadSides(sql, organizationId, digests));
      const devices = changes[0]?.total ?? 0;
      const diffs = shown.map((diff, index) => ({ ...diff, firstDevice: moves.find(({ id }) => byDevice.get(id) === index)?.id ?? '' }));
      const compared = moves.reduce((sum, move) => sum + move.devices, 0);
      return c.json({ diffs, devices, moreDiffs: more, moreDevices: devices - compared }, 200);
    },
  );
