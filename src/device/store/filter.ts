import type { Db } from '../../db/connect.ts';
import type { Connectivity, Device, SyncStatus } from '../device.ts';

/** Chooses devices: those that match every field that is given. A list means any of its values. */
export type DeviceFilter = {
  ids?: readonly string[] | undefined;
  status?: readonly SyncStatus[] | undefined;
  connectivity?: readonly Connectivity[] | undefined;
  siteId?: readonly string[] | undefined;
  sourceId?: readonly string[] | undefined;
  type?: readonly string[] | undefined;
  adapter?: readonly string[] | undefined;
  sourceKind?: readonly Device['sourceKind'][] | undefined;
  /** Values of the same key are alternatives; a device must match each key. */
  labels?: readonly { key: string; value: string }[] | undefined;
  /** Part of an id, a name, or a label's value. */
  q?: string | undefined;
  /** Devices of this integration. */
  integrationId?: string | undefined;
  /** Devices with an attempt of this rollout. */
  rolloutId?: string | undefined;
  simulated?: boolean | undefined;
  held?: boolean | undefined;
  archived?: boolean | undefined;
};

/** The filter as an SQL condition over rows `d` of devices. It begins with the organization. */
export function matching(sql: Db, organizationId: string, filter: DeviceFilter) {
  const { ids, q, integrationId, rolloutId, simulated, held, archived } = filter;
  const { status, connectivity, siteId, sourceId, type, adapter, sourceKind } = filter;
  const columns = { sync_status: status, connectivity, site_id: siteId, source_id: sourceId, type, adapter, source_kind: sourceKind };
  const conditions = [
    ids === undefined ? undefined : sql`d.id = any(${[...ids]}::text[])`,
    ...Object.entries(columns).map(([column, values]) => (values === undefined ? undefined : among(sql, column, values))),
    ...labelConditions(sql, filter.labels ?? []),
    q === undefined ? undefined : hasWords(sql, organizationId, q),
    integrationId === undefined
      ? undefined
      : sql`d.id in (select a.device_id from device_service_assignments a where a.organization_id = ${organizationId} and a.service_id = ${integrationId})`,
    rolloutId === undefined
      ? undefined
      : sql`d.id in (select t.device_id from deployments t where t.organization_id = ${organizationId} and t.rollout_id = ${rolloutId})`,
    simulated === undefined ? undefined : simulated ? sql`d.simulated` : sql`not d.simulated`,
    held === undefined ? undefined : held ? sql`d.held_at is not null` : sql`d.held_at is null`,
    archived === undefined ? undefined : archived ? sql`d.archived_at is not null` : sql`d.archived_at is null`,
  ].filter((condition) => condition !== undefined);
  return conditions.reduce((all, condition) => sql`${all} and ${condition}`, sql`d.organization_id = ${organizationId}`);
}

/** One value is compared with `=`, after which an index still gives its rows in order. */
function among(sql: Db, column: string, values: readonly string[]) {
  const [only] = values;
  if (values.length === 1 && only !== undefined) return sql`d.${sql(column)} = ${only}`;
  const isId = column.endsWith('_id');
  return isId ? sql`d.${sql(column)} = any(${[...values]}::uuid[])` : sql`d.${sql(column)} = any(${[...values]}::text[])`;
}

function labelConditions(sql: Db, labels: readonly { key: string; value: string }[]) {
  return [...Map.groupBy(labels, ({ key }) => key).values()].map((alternatives) => {
    const each = alternatives.map(({ key, value }) => sql`d.labels @> ${sql.json({ [key]: value })}`);
    return sql`(${each.reduce((any, one) => sql`${any} or ${one}`)})`;
  });
}

function hasWords(sql: Db, organizationId: string, q: string) {
  return sql`d.id in (select w.device_id from device_words w where w.organization_id = ${organizationId} and w.words ilike ${containing(q)})`;
}

/** The pattern of `like` for texts that contain this one. */
export function containing(text: string): string {
  return `%${text.replace(/[\\%_]/g, '\\$&')}%`;
}
