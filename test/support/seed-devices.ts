import type { Db } from '../../src/db/connect.ts';
import { newId } from '../../src/ids.ts';

/** How many of 1,000 seeded devices have each status; the rest is in sync. */
const STATUSES = { failed: 12, rolled_back: 6, drifted: 3, held: 8, updating: 20, pending: 40, unverified: 30, unmanaged: 25 };

export type Seed = { devices: number; sites?: number; sources?: number; prefix?: string };

/**
 * Inserts a fleet of any size in one statement: devices `till-000001` and so on, with names, types, labels, sites and statuses of a plausible mixture. Every
 * tenth device is external, every fifth has been silent for minutes to a day. Each source has one folder at its head, and a quarter of its devices runs an older bundle.
 */
export async function seedDevices(sql: Db, organizationId: string, seed: Seed): Promise<{ siteIds: string[]; sourceIds: string[] }> {
  const { devices, sites = 80, sources = 4, prefix = 'till' } = seed;
  const siteIds = Array.from({ length: sites }, () => newId());
  const sourceIds = Array.from({ length: sources }, () => newId());
  const revisionIds = sourceIds.map(() => newId());
  const statuses = Object.entries(STATUSES).flatMap(([status, count]) => new Array<string>(count).fill(status));
  await sql`
    with site as (
      insert into sites (organization_id, id, name)
      select ${organizationId}::uuid, id, ${prefix} || ' site ' || lpad(n::text, 4, '0') from unnest(${siteIds}::uuid[]) with ordinality as s (id, n)
    ), source as (
      insert into sources (organization_id, id, name, url, ref, layout, poll_interval_seconds, status, head_commit, revision_id, next_check_at)
      select ${organizationId}::uuid, id, ${prefix} || '-source-' || n, 'https://git.invalid/' || n, 'main', 'repo', 300, 'ok', lpad(n::text, 40, 'a'), r, 'infinity'
      from unnest(${sourceIds}::uuid[], ${revisionIds}::uuid[]) with ordinality as s (id, r, n)
    ), revision as (
      insert into revisions (organization_id, id, source_id, commit_oid, ref, author_name, author_email, message, committed_at, verdict)
      select ${organizationId}::uuid, r, id, lpad(n::text, 40, 'a'), 'main', 'Ada', 'ada@example.com', 'Change ' || n, now(), 'valid'
      from unnest(${sourceIds}::uuid[], ${revisionIds}::uuid[]) with ordinality as s (id, r, n)
    ), folder as (
      insert into source_paths (organization_id, source_id, path, bundle, revision_id, verdict, evaluated_revision_id)
      select ${organizationId}::uuid, id, '', repeat('b', 64), r, 'valid', r from unnest(${sourceIds}::uuid[], ${revisionIds}::uuid[]) as s (id, r)
    )
    insert into devices (organization_id, id, name, type, labels, site_id, adapter, source_kind, simulated, source_id, path, following,
      desired_bundle, good_bundle, good_revision_id, reported_bundle, sync_status, sync_since, connectivity, last_seen_at, held_at, held_by, hold_reason, updated_at)
    select ${organizationId}::uuid, ${prefix} || '-' || lpad(n::text, 6, '0'), initcap(kind) || ' ' || (n * 7919 % 1000003), kind,
      jsonb_build_object('floor', (n % 9)::text, 'region', (array['north', 'south', 'east', 'west'])[1 + n % 4], 'serial', 'sn' || (n * 104729 % 9999991)),
      (${siteIds}::uuid[])[1 + (n * 31) % greatest(1, ${sites}::int)], case when n % 10 = 0 then 'golioth' else 'agent' end,
      case when n % 10 = 0 then 'EXTERNAL' else 'LOCAL' end, n % 50 = 0, source, case when source is not null then '' end, source is not null and n % 20 > 0,
      case when source is not null then repeat('b', 64) end, case when source is not null then bundle end,
      (${revisionIds}::uuid[])[1 + n % greatest(1, ${sources}::int)], case when source is not null then bundle end, status,
      now() - n * interval '1 second', case when n % 5 = 0 then 'offline' when n % 97 = 0 then 'unknown' else 'online' end,
      case when n % 5 = 0 then now() - (300 + n * 7 % 90000) * interval '1 second' when n % 97 > 0 then now() - (n % 60) * interval '1 second' end, case when status = 'held' then now() end,
      case when status = 'held' then 'ada' end, case when status = 'held' then 'in repair' end, now() - (n * 13 % 500000) * interval '1 second'
    from (
      select n::bigint as n, (array['till', 'kiosk', 'scanner', 'gateway', 'sign'])[1 + n % 5] as kind,
        (${sourceIds}::uuid[])[1 + n % greatest(1, ${sources}::int)] as source, repeat(case when n % 4 = 0 then 'a' else 'b' end, 64) as bundle,
        coalesce((${statuses}::text[])[1 + (n * 617) % 1000], 'in_sync') as status
      from generate_series(1, ${devices}::int) as n
    ) as each`;
  // The test database has no autovacuum, and plans need the sizes of the tables.
  await sql`analyze devices, device_words, sites, sources, source_paths, revisions`;
  return { siteIds, sourceIds };
}
