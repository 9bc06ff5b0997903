import type { Db } from '../db/connect.ts';

/** Folders of which something about their devices changed since they were evaluated. Triggers mark them. */

type Owner = { organizationId: string; sourceId: string };

/** `mark` distinguishes one change of a folder's devices from the next. */
export type StalePath = { path: string; mark: string };

/** `isDue`: the source's folders depend on their devices, so that they have to be evaluated again; else the marks say nothing. */
export async function stalePaths(sql: Db, owner: Owner): Promise<{ paths: StalePath[]; isDue: boolean }> {
  const rows = await sql<(StalePath & { isDue: boolean })[]>`
    select m.path, m.mark::text, s.per_device as "isDue" from stale_paths m
    join sources s on s.organization_id = m.organization_id and s.id = m.source_id
    where m.organization_id = ${owner.organizationId} and m.source_id = ${owner.sourceId} order by m.path`;
  return { paths: rows.map(({ path, mark }) => ({ path, mark })), isDue: rows[0]?.isDue ?? false };
}

/** Clears the mark of evaluated folders, unless their devices changed again meanwhile. */
export async function clearStale(tx: Db, owner: Owner, evaluated: readonly StalePath[]): Promise<void> {
  await tx`
    delete from stale_paths m using unnest(${evaluated.map((stale) => stale.path)}::text[], ${evaluated.map((stale) => stale.mark)}::bigint[]) as e (path, mark)
    where m.organization_id = ${owner.organizationId} and m.source_id = ${owner.sourceId} and m.path = e.path and m.mark = e.mark`;
}

/**
 * Takes back bundles that were made for devices as they were: nobody gets them any more who does not run them already. Those that the new evaluation
 * gives again stay. @param evaluated folders and the bundle that they give now; null: none
 */
export async function forgetBundles(tx: Db, owner: Owner, evaluated: readonly { path: string; bundle: string | null }[]): Promise<void> {
  await tx`
    update source_paths p set candidate_bundle = null, candidate_revision_id = null,
      bundle = case when p.bundle = e.bundle then p.bundle end, revision_id = case when p.bundle = e.bundle then p.revision_id end,
      stable_bundle = case when p.stable_bundle = e.bundle then p.stable_bundle end,
      stable_revision_id = case when p.stable_bundle = e.bundle then p.stable_revision_id end
    from unnest(${evaluated.map((one) => one.path)}::text[], ${evaluated.map((one) => one.bundle)}::text[]) as e (path, bundle)
    where p.organization_id = ${owner.organizationId} and p.source_id = ${owner.sourceId} and p.path = e.path`;
}

/** Devices that are bound to these folders. */
export async function devicesBoundTo(sql: Db, owner: Owner, paths: readonly string[]): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select id from devices where organization_id = ${owner.organizationId} and source_id = ${owner.sourceId} and path = any(${[...paths]}::text[]) order by id`;
  return rows.map((row) => row.id);
}

/** Sources with folders to be evaluated again. Not those that are held, cannot be read, or whose head is broken: their time comes with the next look. */
export async function sourcesToEvaluate(sql: Db): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select s.id from sources s
    where s.per_device and s.held_at is null and s.status in ('ok', 'partial', 'invalid') and s.head_commit = s.prepared_commit
      and exists (select 1 from stale_paths m where m.organization_id = s.organization_id and m.source_id = s.id)`;
  return rows.map((row) => row.id);
}
