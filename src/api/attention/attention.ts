import { createRoute, z } from '@hono/zod-openapi';
import { groupsOf } from '../../attention/causes.ts';
import { createPlaces, type Places } from '../../attention/places.ts';
import { readAttention } from '../../attention/read.ts';
import { type CauseScope, causesIn, devicesOfCause } from '../../attention/store/failures.ts';
import type { Sql } from '../../db/connect.ts';
import { isDeviceId } from '../../device/device.ts';
import { notFound } from '../../errors.ts';
import { eventBounds } from '../../event/store.ts';
import type { Store } from '../../event/transact.ts';
import { decodeCursor, json, PageQuery, problems } from '../../http/kit.ts';
import type { Log } from '../../log.ts';
import type { Previews } from '../../preview/preview.ts';
import { revisionOf } from '../../revision/store.ts';
import { mount, operation, role } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import { findRollout } from '../rollout/find.ts';
import { AttentionView, CausesView, FailedDeviceView, viewCause, viewFailedDevice, viewItem } from './schemas.ts';

type Deps = { store: Store; previews: Previews; log: Log };

/** Everything that needs a person, and the failures of devices by cause. */
export function attentionRoutes(deps: Deps) {
  const places = createPlaces({ sql: deps.store.sql, previews: deps.previews, log: deps.log });
  return mount(showAll(deps, places), showCauses(deps, places), listDevices(deps));
}

const tags = ['Attention'];
const Scope = {
  rollout: z.uuid().optional().openapi({ description: 'Failures in this rollout' }),
  revision: z.uuid().optional().openapi({ description: 'Failures in all rollouts of this revision' }),
};

const showAll = ({ store: { sql } }: Deps, places: Places) =>
  operation(
    createRoute({
      method: 'get',
      path: '/attention',
      tags,
      middleware: [role('viewer')] as const,
      responses: { 200: json(AttentionView, 'Everything that needs a person, the most urgent first'), ...problems },
    }),
    async (c) => {
      const { organizationId, role: own } = c.get('actor');
      // Read before the items: an event after it may have changed them already, and is applied once more.
      const { last: cursor } = await eventBounds(sql, organizationId);
      const { items, more } = await readAttention(sql, organizationId, places);
      return c.json({ items: items.map((item) => viewItem(item, own)), more, cursor }, 200);
    },
  );

const showCauses = ({ store: { sql } }: Deps, places: Places) =>
  operation(
    createRoute({
      method: 'get',
      path: '/attention/causes',
      tags,
      middleware: [role('viewer')] as const,
      request: { query: z.object(Scope) },
      responses: {
        200: json(
          CausesView,
          'Failures by cause, those of most devices first; without a rollout or revision: those outside of the newest rollouts',
        ),
        ...problems,
      },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const rows = await causesIn(sql, organizationId, await scopeOf(sql, organizationId, c.req.valid('query')));
      const causes = (await groupsOf(sql, organizationId, rows, places)).map(viewCause);
      return c.json({ causes, devices: causes.reduce((sum, { count }) => sum + count, 0) }, 200);
    },
  );

const DevicesQuery = PageQuery.extend({ ...Scope, cause: z.string().min(1).max(100) });

const listDevices = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/attention/causes/devices',
      tags,
      role: 'viewer',
      request: { query: DevicesQuery },
      item: FailedDeviceView,
      description: 'Devices that failed for this cause, by id',
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { cause, rollout, revision, ...query } = c.req.valid('query');
      const scope = await scopeOf(sql, organizationId, { rollout, revision });
      const answer = await readPage(query, {
        after: (cursor) => decodeCursor(cursor, isDeviceId) ?? '',
        rows: (after, limit) => devicesOfCause(sql, organizationId, scope, cause, after, limit),
        key: (device) => device.deviceId,
        view: viewFailedDevice,
      });
      return c.json(answer, 200);
    },
  );

/** @throws Problem `not_found` */
async function scopeOf(
  sql: Sql,
  organizationId: string,
  { rollout, revision }: { rollout?: string | undefined; revision?: string | undefined },
): Promise<CauseScope> {
  if (rollout !== undefined) return { rolloutId: (await findRollout(sql, organizationId, rollout)).id };
  if (revision === undefined) return 'devices';
  if ((await revisionOf(sql, organizationId, revision)) === undefined) throw notFound('revision', revision);
  return { revisionId: revision };
}
