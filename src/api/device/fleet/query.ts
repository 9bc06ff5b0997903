import { createHash } from 'node:crypto';
import { z } from '@hono/zod-openapi';
import type { Db } from '../../../db/connect.ts';
import { isDeviceId, SYNC_STATUSES } from '../../../device/device.ts';
import type { DeviceFilter } from '../../../device/store/filter.ts';
import { DEVICE_SORTS, type DeviceOrder, type DevicePlace } from '../../../device/store/list.ts';
import { invalid, notFound } from '../../../errors.ts';
import { decodeCursor } from '../../../http/kit.ts';
import { integrationOf } from '../../../integration/store/services.ts';

/** Values of one parameter. */
export const MOST_VALUES = 50;

/** A parameter that may be repeated: a device matches any of its values. */
function anyOf<Value extends z.ZodType>(value: Value) {
  return z.preprocess((given) => (given === undefined ? undefined : [given].flat()), z.array(value).min(1).max(MOST_VALUES).optional());
}

const flag = z
  .enum(['true', 'false'])
  .transform((text) => text === 'true')
  .optional();

/** The filter of devices in a query. */
export const FILTER_QUERY = {
  status: anyOf(z.enum(SYNC_STATUSES)),
  connectivity: anyOf(z.enum(['online', 'offline', 'unknown'])),
  site: anyOf(z.uuid()),
  source: anyOf(z.uuid()),
  type: anyOf(z.string().max(100)),
  adapter: anyOf(z.string().max(40)),
  sourceKind: anyOf(z.enum(['LOCAL', 'EXTERNAL'])),
  label: anyOf(z.string().regex(/^[^=]{1,63}=.{0,253}$/, 'must be key=value')).openapi({
    description: 'key=value. Values of one key are alternatives; a device must match each key',
  }),
  q: z.string().max(200).optional().openapi({ description: "Part of the id, the name, or a label's value" }),
  integration: z.string().max(100).optional().openapi({ description: 'Devices that are assigned to this integration' }),
  rollout: z.uuid().optional().openapi({ description: 'Devices with an attempt of this rollout' }),
  simulated: flag,
  held: flag,
  archived: flag.openapi({ description: 'Devices that are gone at their platform' }),
};

export const ORDER_QUERY = {
  sort: z.enum(DEVICE_SORTS).default('id').openapi({ description: 'Devices of equal values stand in the order of their ids' }),
  order: z.enum(['asc', 'desc']).default('asc'),
};

const FilterQuery = z.object(FILTER_QUERY);
export type FilterQuery = z.output<typeof FilterQuery>;

/** @throws Problem `not_found` without an integration of that name */
export async function filterOf(sql: Db, organizationId: string, query: FilterQuery): Promise<DeviceFilter> {
  const { site, source, label, integration, rollout, ...same } = query;
  return {
    ...same,
    siteId: site,
    sourceId: source,
    labels: label?.map(labelOf),
    rolloutId: rollout,
    integrationId: integration === undefined ? undefined : await integrationIdOf(sql, organizationId, integration),
  };
}

async function integrationIdOf(sql: Db, organizationId: string, slugOrId: string): Promise<string> {
  const integration = await integrationOf(sql, organizationId, slugOrId);
  if (integration === undefined) throw notFound('integration', slugOrId);
  return integration.id;
}

function labelOf(text: string): { key: string; value: string } {
  const [key = '', ...value] = text.split('=');
  return { key, value: value.join('=') };
}

const Cursor = z.tuple([z.string(), z.string().max(400), z.string().refine(isDeviceId)]);
const TIME = /^(-infinity|\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?[+-]\d{2}(:\d{2}){0,2})$/;

/** Cursors of one list of devices. Each carries its place and a mark of the filter and order: the place means nothing in another list. */
export function cursorsOf(filter: DeviceFilter, { sort, descending }: DeviceOrder) {
  const mark = createHash('sha256')
    .update(JSON.stringify([sort, descending, filter]))
    .digest('base64url')
    .slice(0, 12);
  const isTime = sort === 'lastSeen' || sort === 'updated';
  return {
    keyOf: ({ key, id }: DevicePlace): string => JSON.stringify([mark, key, id]),
    /** @throws Problem `invalid_request` */
    placeOf: (cursor: string | undefined): DevicePlace | null => {
      const text = decodeCursor(cursor, (key) => parsed(key) !== undefined);
      if (text === null) return null;
      const [of, key = '', id = ''] = parsed(text) ?? [];
      if (of !== mark)
        throw invalid('Cannot use the cursor: it belongs to a list with another filter or order; ask for the first page of this one');
      if (isTime && !TIME.test(key)) throw invalid('Cannot read the cursor: use nextCursor of an earlier answer');
      return { key, id };
    },
  };
}

function parsed(text: string): z.output<typeof Cursor> | undefined {
  try {
    return Cursor.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
