import type { Db } from '../db/connect.ts';

/** A revision that gave a folder a bundle. */
export type FolderVersion = {
  bundle: string;
  revisionId: string;
  commit: string;
  authorName: string;
  authorEmail: string;
  message: string;
  committedAt: Date;
};

/** The bundles that a folder had, the newest first, each with the revision that brought it. */
export async function versionsOfFolder(
  sql: Db,
  folder: { organizationId: string; sourceId: string; path: string },
  limit: number,
): Promise<FolderVersion[]> {
  return sql<FolderVersion[]>`
    select p.bundle, r.id as "revisionId", r.commit_oid as commit, r.author_name as "authorName", r.author_email as "authorEmail", r.message,
      r.committed_at as "committedAt"
    from revisions r join revision_paths p on p.organization_id = r.organization_id and p.revision_id = r.id
    where r.organization_id = ${folder.organizationId} and r.source_id = ${folder.sourceId} and p.path = ${folder.path} and p.bundle is not null
    order by r.created_at desc limit ${limit}`;
}
