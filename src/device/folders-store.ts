import type { Db } from '../db/connect.ts';
import type { Candidate, FolderMove, Stranded } from './folders.ts';

type Owner = { organizationId: string; sourceId: string };

/** Reads the devices whose folder the source's head lacks, in the order of their ids. It looks up folder by folder: see `bound` in rollout/store/fragments.ts. */
export async function strandedDevices(sql: Db, { organizationId, sourceId }: Owner): Promise<Stranded[]> {
  return sql<Stranded[]>`
    select d.id, d.path from devices d left join lateral (
      select verdict from source_paths s where s.organization_id = d.organization_id and s.source_id = d.source_id and s.path = d.path offset 0
    ) p on true
    where d.organization_id = ${organizationId} and d.source_id = ${sourceId} and d.path is not null and coalesce(p.verdict, 'missing') = 'missing'
    order by d.id`;
}

/** Reads the folders of the head with one of these folded names. Call it in the transaction that stores the head. */
export async function foldersNamed(sql: Db, { organizationId, sourceId }: Owner, names: readonly string[]): Promise<Candidate[]> {
  return sql<Candidate[]>`
    select p.path, p.appeared_at = now() as "isNew",
      exists (select 1 from devices d where d.organization_id = p.organization_id and d.source_id = p.source_id and d.path = p.path) as "isTaken"
    from source_paths p
    where p.organization_id = ${organizationId} and p.source_id = ${sourceId} and p.verdict <> 'missing'
      and lower(normalize(regexp_replace(p.path, '^.*/', ''), nfkc)) = any(${[...names]}::text[])
    order by p.path`;
}

/** Reads the folders to which devices of the source are bound. */
export async function boundFolders(sql: Db, { organizationId, sourceId }: Owner): Promise<string[]> {
  const rows = await sql<{ path: string }[]>`
    select distinct path from devices where organization_id = ${organizationId} and source_id = ${sourceId} and path is not null`;
  return rows.map(({ path }) => path);
}

/** Reads the devices that are bound to one of these folders. */
export async function devicesIn(sql: Db, { organizationId, sourceId }: Owner, paths: readonly string[]): Promise<Stranded[]> {
  return sql<Stranded[]>`
    select id, path from devices where organization_id = ${organizationId} and source_id = ${sourceId} and path = any(${[...paths]}::text[]) order by id`;
}

/** Binds the devices to their new folders. The caller holds the locks of the source and of the devices. */
export async function moveDevices(tx: Db, { organizationId, sourceId }: Owner, moves: readonly FolderMove[]): Promise<void> {
  await tx`
    update devices d set path = m.new, version = d.version + 1, updated_at = now()
    from unnest(${moves.map(({ id }) => id)}::text[], ${moves.map(({ to }) => to)}::text[]) as m (id, new)
    where d.organization_id = ${organizationId} and d.source_id = ${sourceId} and d.id = m.id`;
}
