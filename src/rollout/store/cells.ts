import type { Sql } from '../../db/connect.ts';
import type { Rollout } from '../rollout.ts';
import { attempts, quarantinedDevices } from './counts.ts';
import { ownWave, wanting } from './fragments.ts';

/**
 * State of a device in a rollout, for a page that shows thousands of them: the state of its newest attempt, or `offline` (it waits for the device),
 * `retrying`, `gone` (another attempt replaced it), `quarantined`, `waiting` (not started yet).
 */
export const CELL_STATES = [
  'waiting',
  'queued',
  'offline',
  'delivering',
  'applying',
  'confirming',
  'succeeded',
  'failed',
  'rolled_back',
  'timed_out',
  'retrying',
  'gone',
  'quarantined',
] as const;
export type CellState = (typeof CELL_STATES)[number];

export type Cell = { id: string; wave: number | null; state: CellState };
export type Cells = { cursor: number; cells: Cell[]; more: number };

/** One answer shows at most this many devices. */
export const MAX_CELLS = 100_000;

/**
 * Every device of the rollout, in order of waves and ids, and the event at which that is true: both are read from one snapshot of the database. The wave
 * of a device that is not started is known if the policy names the device.
 */
export async function cellsOf(sql: Sql, rollout: Rollout, takes: boolean): Promise<Cells> {
  return sql.begin('isolation level repeatable read read only', async (tx) => {
    const [{ cursor }] = await tx<[{ cursor: number }]>`
      select coalesce(max(cursor), 0)::bigint as cursor from events where organization_id = ${rollout.organizationId}`;
    const waiting = wanting(
      tx,
      rollout,
      (from) => tx`
      select d.id, nullif(${ownWave(tx, rollout.policy)}, -1) as wave, 'waiting' as state from ${from}
        and p.bundle is not null and p.bundle is distinct from d.desired_bundle and p.bundle is distinct from d.quarantined_bundle`,
    );
    const cells = await tx<Cell[]>`
      with started as (
        select a.device_id as id, a.wave, case a.outcome when 'offline' then 'offline' when 'gone' then 'gone'
          when 'failed' then case when a.state in ('failed', 'rolled_back', 'timed_out') then a.state else 'failed' end
          else case when a.retry_at is not null then 'retrying' else a.state end end as state
        from (${attempts(tx, rollout)}) a
      ), other as (
        ${takes ? tx`select id, wave, state from (${waiting}) w union all` : tx``}
        select q.id, q.own, 'quarantined' from (${quarantinedDevices(tx, rollout)}) q
      )
      select id, wave, state from (
        select * from started union all select * from other o where not exists (select 1 from started s where s.id = o.id)
      ) c order by wave nulls last, id limit ${MAX_CELLS + 1}`;
    return { cursor, cells: cells.slice(0, MAX_CELLS), more: Math.max(0, cells.length - MAX_CELLS) };
  });
}
