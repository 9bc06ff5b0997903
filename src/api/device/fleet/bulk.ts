import { createHash } from 'node:crypto';
import { createRoute, z } from '@hono/zod-openapi';
import { DeviceId, SYNC_STATUSES } from '../../../device/device.ts';
import { type BulkAction, bulkPreview } from '../../../device/store/bulk.ts';
import { invalid } from '../../../errors.ts';
import type { Store } from '../../../event/transact.ts';
import { body, json, problems } from '../../../http/kit.ts';
import { actOnDevices, MAX_BULK } from '../../../inventory/bulk.ts';
import { LabelKey } from '../../../wire/agent.ts';
import { callerOf, mount, operation, role } from '../../env.ts';
import { filterOf, MOST_VALUES } from './query.ts';

type Deps = { store: Store };

/** `POST /devices:bulk`: one action on many devices. */
export const deviceBulkRoutes = (deps: Deps) => mount(bulk(deps));

const SAMPLE = 5;
const MOST_IDS = 10_000;

const list = <Value extends z.ZodType>(value: Value) => z.array(value).min(1).max(MOST_VALUES).optional();
const Filter = z
  .strictObject({
    status: list(z.enum(SYNC_STATUSES)),
    connectivity: list(z.enum(['online', 'offline', 'unknown'])),
    site: list(z.uuid()),
    source: list(z.uuid()),
    type: list(z.string().max(100)),
    adapter: list(z.string().max(40)),
    sourceKind: list(z.enum(['LOCAL', 'EXTERNAL'])),
    label: list(z.string().regex(/^[^=]{1,63}=.{0,253}$/, 'must be key=value')),
    q: z.string().max(200).optional(),
    integration: z.string().max(100).optional(),
    rollout: z.uuid().optional(),
    simulated: z.boolean().optional(),
    held: z.boolean().optional(),
    archived: z.boolean().optional(),
  })
  .openapi('DeviceFilter', { description: 'As the parameters of GET /devices; {} chooses all devices' });

const Parameters = z.strictObject({
  reason: z.string().trim().min(1).max(500).optional().openapi({ description: 'hold: why' }),
  untilNewerRevision: z.boolean().optional().openapi({ description: 'hold: lift the hold at the next newer revision' }),
  set: z.record(LabelKey, z.string().max(253)).optional().openapi({ description: 'label: labels that the devices get' }),
  remove: z.array(LabelKey).max(50).optional().openapi({ description: 'label: labels that they lose' }),
  siteId: z.uuid().nullable().optional().openapi({ description: 'move: the site where the devices stand now; null: none' }),
});

const Bulk = z
  .strictObject({
    action: z.enum(['start', 'stop', 'refresh', 'hold', 'release', 'label', 'move', 'retry']),
    filter: Filter.optional(),
    ids: z.array(DeviceId).min(1).max(MOST_IDS).optional().openapi({ description: 'Instead of a filter' }),
    parameters: Parameters.default({}),
    dryRun: z.boolean().default(false).openapi({ description: 'Changes nothing' }),
    expected: z
      .number()
      .int()
      .min(0)
      .max(MAX_BULK)
      .optional()
      .openapi({ description: 'willChange of the dry run. Required without dryRun' }),
    tolerance: z.number().int().min(0).max(MAX_BULK).default(0).openapi({ description: 'By how much the number may differ from it' }),
    token: z.string().max(100).optional().openapi({ description: 'Token of the dry run; the service refuses that of another action' }),
  })
  .refine(({ filter, ids }) => (filter === undefined) !== (ids === undefined), {
    path: ['filter'],
    error: 'must be given, or ids in its place',
  })
  .refine(({ dryRun, expected }) => dryRun || expected !== undefined, { path: ['expected'], error: 'must be given without dryRun' })
  .openapi('BulkAction', { example: { action: 'refresh', filter: { q: 'no such device' }, expected: 0 } });

const Answer = z
  .object({
    dryRun: z.boolean(),
    matching: z.number().int().nullable().openapi({ description: 'Devices of the filter; null after the action' }),
    willChange: z.number().int().openapi({ description: 'Devices on which the action has an effect, or had one' }),
    sample: z.array(z.string()).openapi({ description: 'Ids of some of them' }),
    token: z.string(),
  })
  .openapi('BulkAnswer');

const bulk = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/devices:bulk',
      tags: ['Devices'],
      description: `At most ${MAX_BULK} devices, all in one transaction. Ask with dryRun first, then confirm the number.`,
      middleware: [role('operator')] as const,
      request: { body: body(Bulk) },
      responses: { 200: json(Answer, 'The number of devices that change, or were changed'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { action, filter = {}, ids, parameters, dryRun, expected = 0, tolerance, token: given } = c.req.valid('json');
      const wanted = wantedOf(action, parameters);
      const token = createHash('sha256')
        .update(JSON.stringify([wanted, filter, ids]))
        .digest('base64url')
        .slice(0, 16);
      if (given !== undefined && given !== token)
        throw invalid('Cannot act: the token belongs to another action or filter', [
          { pointer: '/token', detail: 'belongs to another action' },
        ]);
      const chosen = { ...(await filterOf(store.sql, organizationId, filter)), ids };
      if (dryRun) {
        const preview = await bulkPreview(store.sql, organizationId, chosen, wanted, SAMPLE);
        return c.json({ dryRun, ...preview, token }, 200);
      }
      const detail = { filter: ids === undefined ? filter : { ids: ids.length }, parameters, expected };
      const request = { filter: chosen, wanted, confirmation: { expected, tolerance }, detail };
      const changed = await actOnDevices(callerOf(c), store, request);
      return c.json({ dryRun, matching: null, willChange: changed, sample: [], token }, 200);
    },
  );

/** @throws Problem `invalid_request` for parameters of another action, and without those of this one */
function wantedOf(action: z.output<typeof Bulk>['action'], parameters: z.output<typeof Parameters>): BulkAction {
  const { reason = 'held by an operator', untilNewerRevision = false, set = {}, remove = [], siteId } = parameters;
  const own: Partial<Record<typeof action, string[]>> = {
    hold: ['reason', 'untilNewerRevision'],
    label: ['set', 'remove'],
    move: ['siteId'],
  };
  const stray = Object.keys(parameters).find((name) => !own[action]?.includes(name));
  if (stray !== undefined) throw invalidParameter(stray, `must be left out with action "${action}"`);
  if (action === 'hold') return { action, reason, untilNewerRevision };
  if (action === 'label') {
    if (Object.keys(set).length + remove.length === 0) throw invalidParameter('set', 'must be given, or remove, or both');
    return { action, set, remove };
  }
  if (action !== 'move') return { action };
  if (siteId === undefined) throw invalidParameter('siteId', 'must be given: the id of a site, or null');
  return { action, siteId };
}

function invalidParameter(name: string, detail: string) {
  return invalid(`Cannot act on devices: /parameters/${name} ${detail}`, [{ pointer: `/parameters/${name}`, detail }]);
}
