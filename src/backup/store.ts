import type { Db } from '../db/connect.ts';

/** The bundle of a device before a change. The row pins the bundle, so that its bytes are kept. */
export type Backup = {
  id: string;
  deviceId: string;
  bundle: string | null;
  revisionId: string | null;
  reportedBundle: string | null;
  deploymentId: string | null;
  createdAt: Date;
};

const columns = (sql: Db) => sql`
  id, device_id as "deviceId", bundle, revision_id as "revisionId", reported_bundle as "reportedBundle", deployment_id as "deploymentId", created_at as "createdAt"`;

/** Newest first, at most five. */
export async function listBackups(sql: Db, organizationId: string, deviceId: string): Promise<Backup[]> {
  return sql<
    Backup[]
  >`select ${columns(sql)} from backups where organization_id = ${organizationId} and device_id = ${deviceId} order by created_at desc, id desc`;
}

export async function backupOf(sql: Db, organizationId: string, deviceId: string, id: string): Promise<Backup | undefined> {
  const [row] = await sql<Backup[]>`
    select ${columns(sql)} from backups where organization_id = ${organizationId} and device_id = ${deviceId} and id = ${id}`;
  return row;
}
