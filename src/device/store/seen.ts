import type { Db } from '../../db/connect.ts';
import type { Json } from '../../wire/text/json.ts';
import { OFFLINE_AFTER_SECONDS } from '../device.ts';
import type { DeviceStanding } from '../events.ts';
import { standing } from './status.ts';

/** A sign of life of an external device. `seenAt`: null for now. `state`: undefined leaves the stored one. */
export type Sighting = { deviceId: string; seenAt: Date | null; state?: Json | undefined };

/** `isChanged`: the device is online now and was not, or its state is another one. */
export type Seen = DeviceStanding & { lastSeenAt: Date; isChanged: boolean };

/**
 * Notes that external devices were seen. A sighting older than the last one changes nothing, so that messages may come in any order. Archived devices
 * stay as they are: only a sync restores them. Locks the rows in the order of their ids.
 */
export async function noteSeen(tx: Db, organizationId: string, sightings: readonly Sighting[]): Promise<Seen[]> {
  if (sightings.length === 0) return [];
  const rows = sightings.map(({ deviceId, seenAt, state }) => ({
    id: deviceId,
    seen_at: seenAt?.toISOString() ?? null,
    has_state: state !== undefined,
    state: state ?? null,
  }));
  return tx<Seen[]>`
    with seen as (
      select d.id, least(coalesce(o.seen_at, now()), now()) as seen_at, d.connectivity, o.has_state, o.state,
        o.has_state and d.integration_metadata -> 'state' is distinct from o.state as is_new
      from devices d join jsonb_to_recordset(${tx.json(rows)}) as o (id text, seen_at timestamptz, has_state boolean, state jsonb) on o.id = d.id
      where d.organization_id = ${organizationId} and d.source_kind = 'EXTERNAL' and d.archived_at is null
        and (d.last_seen_at is null or least(coalesce(o.seen_at, now()), now()) >= d.last_seen_at)
      order by d.id for no key update of d
    )
    update devices d set last_seen_at = s.seen_at,
      updated_at = case when s.is_new or (d.connectivity <> 'online' and ${isRecent(tx)}) then now() else d.updated_at end,
      connectivity = case when ${isRecent(tx)} then 'online' else d.connectivity end,
      online_since = case when not ${isRecent(tx)} then d.online_since when d.connectivity = 'online' then coalesce(d.online_since, now()) else now() end,
      integration_metadata = case when s.has_state
        then jsonb_set(coalesce(d.integration_metadata, '{}'), '{state}', coalesce(s.state, 'null')) else d.integration_metadata end
    from seen s where d.organization_id = ${organizationId} and d.id = s.id
    returning ${standing(tx)}, d.last_seen_at as "lastSeenAt", s.is_new or d.connectivity <> s.connectivity as "isChanged"`;
}

const isRecent = (tx: Db) => tx`(s.seen_at > now() - make_interval(secs => ${OFFLINE_AFTER_SECONDS}))`;
