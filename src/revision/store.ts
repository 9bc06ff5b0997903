import { chunked } from '../db/chunks.ts';
import type { Db } from '../db/connect.ts';
import { storableValue } from '../wire/text/text.ts';
import { type ConfigError, isBlamed, type PreparedPath, type PreparedRevision } from './revision.ts';

export type RevisionVerdict = 'valid' | 'partial' | 'invalid';

export type Revision = {
  organizationId: string;
  id: string;
  sourceId: string;
  commit: string;
  ref: string;
  authorName: string;
  authorEmail: string;
  message: string;
  committedAt: Date;
  verdict: RevisionVerdict;
  signatureVerdict: string;
  errors: ConfigError[];
  pathsChanged: number;
  pathsInvalid: number;
  timings: Record<string, number>;
  /** `rollout:` as it stood in the repository; null: it has none. */
  rolloutPolicy: unknown;
  treeOid: string | null;
  createdAt: Date;
};

const columns = (sql: Db) => sql`
  organization_id as "organizationId", id, source_id as "sourceId", commit_oid as "commit", ref, author_name as "authorName", author_email as "authorEmail",
  message, committed_at as "committedAt", verdict, signature_verdict as "signatureVerdict", errors, paths_changed as "pathsChanged",
  paths_invalid as "pathsInvalid", timings, rollout_policy as "rolloutPolicy", tree_oid as "treeOid", created_at as "createdAt"`;

export async function revisionOf(sql: Db, organizationId: string, id: string): Promise<Revision | undefined> {
  const [row] = await sql<Revision[]>`select ${columns(sql)} from revisions where organization_id = ${organizationId} and id = ${id}`;
  return row;
}

/** Newest first. */
export async function listRevisions(
  sql: Db,
  organizationId: string,
  sourceId: string,
  before: Date | null,
  limit: number,
): Promise<Revision[]> {
  return sql<Revision[]>`
    select ${columns(sql)} from revisions where organization_id = ${organizationId} and source_id = ${sourceId} ${before === null ? sql`` : sql`and created_at < ${before}`}
    order by created_at desc limit ${limit}`;
}

export type RevisionPath = { path: string; verdict: 'valid' | 'invalid' | 'missing'; bundle: string | null; errors: ConfigError[] };

export async function pathsOfRevision(sql: Db, organizationId: string, revisionId: string, limit: number): Promise<RevisionPath[]> {
  return sql<RevisionPath[]>`
    select path, verdict, bundle, errors from revision_paths where organization_id = ${organizationId} and revision_id = ${revisionId} order by path limit ${limit}`;
}

export type SourcePath = {
  path: string;
  bundle: string | null;
  /** The last valid one, released or not. */
  candidate: string | null;
  revisionId: string | null;
  verdict: 'valid' | 'invalid' | 'missing';
  evaluatedRevisionId: string;
  errors: ConfigError[];
  /** Something about its devices changed: it is to be evaluated again before anything goes to them. */
  isStale: boolean;
  updatedAt: Date;
};

export async function sourcePath(sql: Db, organizationId: string, sourceId: string, path: string): Promise<SourcePath | undefined> {
  const [row] = await sql<SourcePath[]>`
    select p.path, p.bundle, p.candidate_bundle as candidate, p.revision_id as "revisionId", p.verdict, p.evaluated_revision_id as "evaluatedRevisionId", p.errors, e.path is not null as "isStale",
      p.updated_at as "updatedAt"
    from source_paths p left join awaiting_evaluation e on e.organization_id = p.organization_id and e.source_id = p.source_id and e.path = p.path
    where p.organization_id = ${organizationId} and p.source_id = ${sourceId} and p.path = ${path}`;
  return row;
}

/** The result of the source's prepared head for one folder. `bundle` is that of this head, whether it was released to devices or not. */
export async function preparedPath(
  sql: Db,
  organizationId: string,
  sourceId: string,
  path: string,
): Promise<Pick<RevisionPath, 'verdict' | 'bundle' | 'errors'> | undefined> {
  const [row] = await sql<Pick<RevisionPath, 'verdict' | 'bundle' | 'errors'>[]>`
    select verdict, case when verdict = 'valid' then candidate_bundle end as bundle, errors
    from source_paths where organization_id = ${organizationId} and source_id = ${sourceId} and path = ${path}`;
  return row;
}

/** Files outside the device folders that the outcome of any of them depends on. Some may be named that none does any more. */
export async function dependenciesOf(sql: Db, organizationId: string, sourceId: string): Promise<string[]> {
  const rows = await sql<{ path: string }[]>`
    select path from source_dependencies where organization_id = ${organizationId} and source_id = ${sourceId}`;
  return rows.map((row) => row.path);
}

async function noteDependencies(tx: Db, owner: Owner, { extent, paths }: PreparedRevision): Promise<void> {
  const named = [...new Set(paths.flatMap((path) => path.dependencies))];
  if (extent === 'full')
    await tx`
      delete from source_dependencies
      where organization_id = ${owner.organizationId} and source_id = ${owner.sourceId} and path <> all(${named}::text[])`;
  if (named.length > 0)
    await tx`
      insert into source_dependencies (organization_id, source_id, path)
      select ${owner.organizationId}, ${owner.sourceId}, unnest(${named}::text[]) on conflict do nothing`;
}

/** The bundle that each folder had at a revision: from the last one up to it that evaluated the folder well. */
export async function pathsAtRevision(
  sql: Db,
  organizationId: string,
  revision: Pick<Revision, 'id' | 'sourceId'>,
): Promise<{ path: string; bundle: string; revisionId: string }[]> {
  return sql<{ path: string; bundle: string; revisionId: string }[]>`
    select distinct on (p.path) p.path, p.bundle, r.id as "revisionId"
    from revisions r join revision_paths p on p.organization_id = r.organization_id and p.revision_id = r.id
    where r.organization_id = ${organizationId} and r.source_id = ${revision.sourceId} 
      and r.created_at <= (select created_at from revisions where organization_id = ${organizationId} and id = ${revision.id})
      and r.verdict <> 'invalid' and p.bundle is not null
    order by p.path, r.created_at desc`;
}

/** Lets these bundles go to the devices of their folders, whatever the candidates are. @returns the folders that change */
export async function setPaths(
  tx: Db,
  owner: Owner,
  paths: readonly { path: string; bundle: string; revisionId: string }[],
): Promise<string[]> {
  const rows = await tx<{ path: string }[]>`
    update source_paths s set bundle = w.bundle, revision_id = w.revision_id
    from unnest(${paths.map((p) => p.path)}::text[], ${paths.map((p) => p.bundle)}::text[], ${paths.map((p) => p.revisionId)}::uuid[]) as w (path, bundle, revision_id)
    where s.organization_id = ${owner.organizationId} and s.source_id = ${owner.sourceId} and s.path = w.path and s.bundle is distinct from w.bundle
    returning s.path`;
  return rows.map((row) => row.path);
}

/** Folders whose last evaluation depended on one of these paths of the repository. */
export async function dependentPaths(sql: Db, owner: Owner, dependencies: readonly string[]): Promise<string[]> {
  const rows = await sql<{ path: string }[]>`
    select path from source_paths where organization_id = ${owner.organizationId} and source_id = ${owner.sourceId} and verdict <> 'missing'
      and dependencies && ${[...dependencies]}::text[]`;
  return rows.map((row) => row.path);
}

type Owner = { organizationId: string; sourceId: string };

/** Writes the revision's own row; a commit that comes again (a branch that was set back) is judged anew. @returns its id */
export async function upsertRevision(
  tx: Db,
  owner: Owner,
  revision: { id: string; ref: string; prepared: PreparedRevision; verdict: RevisionVerdict; timings: Record<string, number> },
): Promise<string> {
  const { commit, errors, paths, removed, rolloutPolicy } = revision.prepared;
  const invalid = paths.filter(isBlamed).length;
  const [row] = await tx<{ id: string }[]>`
    insert into revisions (organization_id, id, source_id, commit_oid, ref, author_name, author_email, message, committed_at, verdict, errors, paths_changed, paths_invalid, timings, rollout_policy, tree_oid)
    values (${owner.organizationId}, ${revision.id}, ${owner.sourceId}, ${commit.oid}, ${revision.ref}, ${commit.author.name}, ${commit.author.email},
      ${commit.message}, ${commit.committedAt}, ${revision.verdict}, ${tx.json(storableValue(errors) as never)}, ${paths.length + removed.length}, ${invalid}, ${tx.json(revision.timings)},
      ${rolloutPolicy === null ? null : tx.json(storableValue(rolloutPolicy) as never)}, ${commit.tree})
    on conflict (organization_id, source_id, commit_oid) do update set verdict = excluded.verdict, errors = excluded.errors, ref = excluded.ref,
      paths_changed = excluded.paths_changed, paths_invalid = excluded.paths_invalid, timings = excluded.timings,
      rollout_policy = excluded.rollout_policy
    returning id`;
  if (row === undefined) throw new Error('upsert returned no row');
  return row.id;
}

/** Whether folders came, and which went. */
export type FolderSetChange = { appeared: boolean; gone: string[] };

/** Notes what the revision did to each folder it touched, and what each folder's latest evaluation is. `isRepeated`: the rest was noted before. */
export async function storePaths(
  tx: Db,
  owner: Owner,
  revisionId: string,
  prepared: PreparedRevision,
  isRepeated = false,
): Promise<FolderSetChange> {
  if (!isRepeated) await tx`delete from revision_paths where organization_id = ${owner.organizationId} and revision_id = ${revisionId}`;
  let appeared = false;
  for (const chunk of chunked(prepared.paths)) appeared = (await storePathChunk(tx, owner, revisionId, chunk)) || appeared;
  await noteDependencies(tx, owner, prepared);
  const gone =
    prepared.extent === 'full'
      ? tx`path <> all(${prepared.paths.map((path) => path.path)}::text[])`
      : tx`path = any(${prepared.removed}::text[])`;
  const rows = await tx<{ path: string }[]>`
    with gone as (
      update source_paths set verdict = 'missing', evaluated_revision_id = ${revisionId}, errors = '[]', dependencies = '{}', updated_at = now()
      where organization_id = ${owner.organizationId} and source_id = ${owner.sourceId} and verdict <> 'missing' and ${gone}
      returning path)
    insert into revision_paths (organization_id, revision_id, path, verdict) select ${owner.organizationId}, ${revisionId}, path, 'missing' from gone
    returning path`;
  return { appeared, gone: rows.map(({ path }) => path) };
}

/** @returns whether a folder is there that was not before */
async function storePathChunk(tx: Db, owner: Owner, revisionId: string, chunk: readonly PreparedPath[]): Promise<boolean> {
  const dependencies = chunk.map((path) => JSON.stringify(path.dependencies));
  const rows = await tx<{ appeared: boolean }[]>`
    with evaluated as (
      select * from unnest(${chunk.map((p) => p.path)}::text[], ${chunk.map((p) => p.verdict)}::text[], ${chunk.map((p) => p.bundle?.digest ?? null)}::text[],
        ${chunk.map((p) => JSON.stringify(storableValue(p.errors)))}::text[], ${dependencies}::text[], ${chunk.map((p) => String(p.tentative ?? false))}::text[])
        as e (path, verdict, bundle, errors, dependencies, tentative)
    ), noted as (
      insert into revision_paths (organization_id, revision_id, path, verdict, bundle, errors)
      select ${owner.organizationId}, ${revisionId}, path, verdict, bundle, errors::jsonb from evaluated
      on conflict (organization_id, revision_id, path) do update set verdict = excluded.verdict, bundle = excluded.bundle, errors = excluded.errors
    )
    insert into source_paths (organization_id, source_id, path, candidate_bundle, candidate_revision_id, verdict, evaluated_revision_id, errors, dependencies, tentative)
    select ${owner.organizationId}, ${owner.sourceId}, path, bundle, case when bundle is not null then ${revisionId}::uuid end, verdict, ${revisionId}, errors::jsonb,
      array(select jsonb_array_elements_text(dependencies::jsonb)), tentative::boolean
    from evaluated
    on conflict (organization_id, source_id, path) do update set
      candidate_bundle = coalesce(excluded.candidate_bundle, source_paths.candidate_bundle),
      candidate_revision_id = case when excluded.candidate_bundle is null or excluded.candidate_bundle = source_paths.candidate_bundle
        then source_paths.candidate_revision_id else excluded.candidate_revision_id end,
      verdict = excluded.verdict, evaluated_revision_id = excluded.evaluated_revision_id, errors = excluded.errors,
      dependencies = excluded.dependencies, tentative = excluded.tentative, updated_at = now(),
      appeared_at = case when source_paths.verdict = 'missing' then now() else source_paths.appeared_at end
    returning appeared_at = now() as appeared`;
  return rows.some(({ appeared }) => appeared);
}

export async function setVerdict(tx: Db, owner: Owner, revisionId: string, verdict: RevisionVerdict): Promise<void> {
  await tx`update revisions set verdict = ${verdict} where organization_id = ${owner.organizationId} and id = ${revisionId}`;
}

export async function countInvalidPaths(tx: Db, owner: Owner): Promise<number> {
  const [row] = await tx<[{ count: number }]>`
    select count(*)::int as count from source_paths where organization_id = ${owner.organizationId} and source_id = ${owner.sourceId} and verdict = 'invalid' and not tentative`;
  return row.count;
}

/** Lets the latest valid bundles go to devices. @returns the folders whose bundle changed */
export async function releaseCandidates(tx: Db, owner: Owner): Promise<string[]> {
  const rows = await tx<{ path: string }[]>`
    update source_paths set bundle = candidate_bundle, revision_id = candidate_revision_id
    where organization_id = ${owner.organizationId} and source_id = ${owner.sourceId} and candidate_bundle is distinct from bundle
    returning path`;
  return rows.map((row) => row.path);
}

/** The revisions whose bundles `releaseCandidates` would let go. */
export async function candidateRevisions(tx: Db, owner: Owner): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`
    select distinct candidate_revision_id as id from source_paths
    where organization_id = ${owner.organizationId} and source_id = ${owner.sourceId} and candidate_bundle is distinct from bundle
      and candidate_revision_id is not null`;
  return rows.map((row) => row.id);
}

/**
 * The folders' bundles are established: a rollout of them has completed.
 * @returns the folders that were not released yet
 */
export async function establishFolders(tx: Db, owner: Owner): Promise<{ path: string; bundle: string | null }[]> {
  return tx<{ path: string; bundle: string | null }[]>`
    update source_paths set stable_bundle = bundle, stable_revision_id = revision_id, released = true
    where organization_id = ${owner.organizationId} and source_id = ${owner.sourceId} and not released returning path, bundle`;
}

/** A folder that came with this commit begins where the one stood whose devices move to it: what they run, and what they roll back to, stays the same. */
export async function continueFolders(tx: Db, owner: Owner, moves: readonly { from: string; to: string }[]): Promise<void> {
  await tx`
    update source_paths n set bundle = o.bundle, revision_id = o.revision_id, stable_bundle = o.stable_bundle, stable_revision_id = o.stable_revision_id
    from (select distinct on (new) old, new from unnest(${moves.map(({ from }) => from)}::text[], ${moves.map(({ to }) => to)}::text[]) as m (old, new) order by new, old) m
    join source_paths o on o.organization_id = ${owner.organizationId} and o.source_id = ${owner.sourceId} and o.path = m.old
    where n.organization_id = ${owner.organizationId} and n.source_id = ${owner.sourceId} and n.path = m.new and n.appeared_at = now()
      and not exists (select 1 from devices d where d.organization_id = n.organization_id and d.source_id = n.source_id and d.path = n.path)`;
}

/** Whether the source has prepared this commit before. */
export async function isCommitKnown(sql: Db, owner: Owner, commit: string): Promise<boolean> {
  const rows = await sql`
    select 1 from revisions where organization_id = ${owner.organizationId} and source_id = ${owner.sourceId} and commit_oid = ${commit}`;
  return rows.length > 0;
}

export async function verdictOfRevision(sql: Db, organizationId: string, id: string): Promise<RevisionVerdict | undefined> {
  const [row] = await sql<{ verdict: RevisionVerdict }[]>`
    select verdict from revisions where organization_id = ${organizationId} and id = ${id}`;
  return row?.verdict;
}
