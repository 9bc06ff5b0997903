import type { Db } from '../db/connect.ts';

export type NewAuditEntry = {
  organizationId: string;
  /** `token:<name>`, `user:<name>`, `device:<id>`, `controller`, `hook:<provider>`. */
  actor: string;
  /** The operation of a route or of the controller, for example `source.create`. */
  action: string;
  subject: string;
  outcome: 'ok' | 'refused' | 'failed';
  commitOid?: string | null;
  detail?: Record<string, unknown>;
};

export type AuditEntry = Required<NewAuditEntry> & { id: number; at: Date };

export async function audit(tx: Db, entry: NewAuditEntry): Promise<void> {
  await tx`
    insert into audit (organization_id, actor, action, subject, outcome, commit_oid, detail)
    values (${entry.organizationId}, ${entry.actor}, ${entry.action}, ${entry.subject}, ${entry.outcome}, ${entry.commitOid ?? null}, ${tx.json((entry.detail ?? {}) as never)})`;
}

/** Writes the same line for each of the devices. */
export async function auditDevices(
  tx: Db,
  entry: Omit<NewAuditEntry, 'subject' | 'commitOid'>,
  deviceIds: readonly string[],
): Promise<void> {
  await tx`
    insert into audit (organization_id, actor, action, subject, outcome, detail)
    select ${entry.organizationId}::uuid, ${entry.actor}, ${entry.action}, 'device:' || id, ${entry.outcome}, ${tx.json((entry.detail ?? {}) as never)}::jsonb
    from unnest(${[...deviceIds]}::text[]) as id`;
}

/** Writes one line for each of the devices, with individual details. */
export async function auditEachDevice(
  tx: Db,
  entry: Omit<NewAuditEntry, 'subject' | 'detail'>,
  devices: readonly { id: string; detail: Record<string, unknown> }[],
): Promise<void> {
  await tx`
    insert into audit (organization_id, actor, action, subject, outcome, commit_oid, detail)
    select ${entry.organizationId}::uuid, ${entry.actor}, ${entry.action}, 'device:' || id, ${entry.outcome}, ${entry.commitOid ?? null}, detail::jsonb
    from unnest(${devices.map(({ id }) => id)}::text[], ${devices.map(({ detail }) => JSON.stringify(detail))}::text[]) as d (id, detail)`;
}

const columns = (sql: Db) =>
  sql`organization_id as "organizationId", id, at, actor, action, subject, outcome, commit_oid as "commitOid", detail`;

/** `action`: an action, or all of a noun, such as `integration.*`. */
export type AuditFilter = {
  /** Inclusive. */
  after: Date | null;
  /** Exclusive. */
  before: Date | null;
  subject?: string | undefined;
  actor?: string | undefined;
  action?: string | undefined;
};

/** Newest first. */
export async function listAudit(
  sql: Db,
  organizationId: string,
  filter: AuditFilter,
  beforeId: number | null,
  limit: number,
): Promise<AuditEntry[]> {
  return sql<AuditEntry[]>`
    select ${columns(sql)} from audit
    where organization_id = ${organizationId} ${beforeId === null ? sql`` : sql`and id < ${beforeId}`} ${matching(sql, filter)}
    order by id desc limit ${limit}`;
}

/** `upToId`: the newest entry of the export; later ones are not exported. */
export type AuditSpan = AuditFilter & { upToId: number };

/** Returns one batch of an export, oldest first. */
export async function auditBatch(sql: Db, organizationId: string, span: AuditSpan, afterId: number, limit: number): Promise<AuditEntry[]> {
  return sql<AuditEntry[]>`
    select ${columns(sql)} from audit
    where organization_id = ${organizationId} and id > ${afterId} and id <= ${span.upToId} ${matching(sql, span)}
    order by id limit ${limit}`;
}

function matching(sql: Db, { after, before, subject, actor, action }: AuditFilter) {
  const noun = action?.endsWith('.*') ? action.slice(0, -1) : undefined;
  return sql`
    ${after === null ? sql`` : sql`and at >= ${after}`} ${before === null ? sql`` : sql`and at < ${before}`}
    ${subject === undefined ? sql`` : sql`and subject = ${subject}`} ${actor === undefined ? sql`` : sql`and actor = ${actor}`}
    ${noun !== undefined ? sql`and starts_with(action, ${noun})` : action === undefined ? sql`` : sql`and action = ${action}`}`;
}

/** Returns 0 if there is none. */
export async function lastAuditId(sql: Db, organizationId: string): Promise<number> {
  const [row] = await sql<[{ id: number }]>`select coalesce(max(id), 0)::bigint as id from audit where organization_id = ${organizationId}`;
  return row.id;
}
