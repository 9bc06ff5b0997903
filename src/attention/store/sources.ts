import type { Db } from '../../db/connect.ts';
import type { ConfigError } from '../../revision/revision.ts';

export type FailingSource = {
  id: string;
  name: string;
  code: string;
  detail: string;
  since: Date;
  nextCheckAt: Date;
  devices: number;
  total: number;
};

/** Sources that cannot be read. `since`: the last check that succeeded. */
export async function failingSources(sql: Db, organizationId: string, limit: number): Promise<FailingSource[]> {
  return sql<FailingSource[]>`
    select s.*, (select count(*)::int from devices d where d.organization_id = ${organizationId} and d.source_id = s.id and d.archived_at is null) as devices
    from (
      select id, name, error_code as code, coalesce(error_detail, '') as detail, coalesce(last_synced_at, created_at) as since,
        next_check_at as "nextCheckAt", count(*) over ()::int as total
      from sources where organization_id = ${organizationId} and error_code is not null order by since, id limit ${limit}
    ) s`;
}

export type RejectedRevision = {
  sourceId: string;
  sourceName: string;
  status: 'invalid' | 'partial';
  revisionId: string;
  commit: string;
  author: string;
  since: Date;
  /** The first error of the revision, or of its first invalid folder. */
  error: ConfigError | null;
  errors: number;
  folders: number;
  total: number;
};

/** Sources whose head does not validate, as a whole or in some folders. */
export async function rejectedRevisions(sql: Db, organizationId: string, limit: number): Promise<RejectedRevision[]> {
  return sql<RejectedRevision[]>`
    select s.id as "sourceId", s.name as "sourceName", s.status, v.id as "revisionId", v.commit_oid as commit, v.author_name as author, v.created_at as since,
      coalesce(v.errors->0, f.errors->0) as error, jsonb_array_length(v.errors) as errors,
      (select count(*)::int from source_paths p where p.organization_id = s.organization_id and p.source_id = s.id and p.verdict = 'invalid' and not p.tentative)
        as folders, s.total
    from (
      select *, count(*) over ()::int as total from sources
      where organization_id = ${organizationId} and status in ('invalid', 'partial') and error_code is null order by status, id limit ${limit}
    ) s join revisions v on v.organization_id = s.organization_id and v.id = s.revision_id
    left join lateral (
      select errors from source_paths p where p.organization_id = s.organization_id and p.source_id = s.id and p.verdict = 'invalid' and not p.tentative
      order by p.path limit 1
    ) f on true
    order by s.status, since desc`;
}

export type NamedSource = { id: string; name: string };

export async function sourcesNamed(sql: Db, organizationId: string, ids: readonly string[]): Promise<Map<string, string>> {
  if (ids.length === 0) return new Map();
  const rows = await sql<
    NamedSource[]
  >`select id, name from sources where organization_id = ${organizationId} and id = any(${[...ids]}::uuid[])`;
  return new Map(rows.map(({ id, name }) => [id, name]));
}
