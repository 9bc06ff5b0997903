import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SYNC_STATUSES, type SyncStatus } from '../../src/device/device.ts';
import { statusAfterSql } from '../../src/device/store/status.ts';
import { SYNC_RULES, type SyncCause, type SyncFacts, statusAfter } from '../../src/device/sync.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

const CAUSES = Object.keys(SYNC_RULES) as SyncCause[];
const HOLD = { by: 'ann' };
const anyFacts: fc.Arbitrary<SyncFacts> = fc.record({
  syncStatus: fc.constantFrom(...SYNC_STATUSES),
  hold: fc.constantFrom(null, HOLD),
  goodBundle: fc.constantFrom(null, 'b'),
});
const anyCause = fc.constantFrom(...CAUSES);

function after(causes: readonly SyncCause[], over: Partial<SyncFacts> = {}): SyncStatus {
  const facts: SyncFacts = { syncStatus: 'in_sync', hold: null, goodBundle: 'b', ...over };
  return causes.reduce((syncStatus, cause) => statusAfter(cause, { ...facts, syncStatus }) ?? syncStatus, facts.syncStatus);
}

describe('the status of a device', () => {
  test.each<[string, SyncCause[], Partial<SyncFacts>, SyncStatus]>([
    ['is pending while an attempt waits for it', ['queued'], {}, 'pending'],
    ['is updating while it works on an attempt', ['queued', 'delivering', 'applying', 'confirming'], {}, 'updating'],
    ['is in sync after a success', ['queued', 'applying', 'succeeded'], {}, 'in_sync'],
    ['is failed after a failure', ['queued', 'applying', 'failed'], {}, 'failed'],
    ['is failed when no report comes in time', ['queued', 'applying', 'timed_out'], {}, 'failed'],
    ['is rolled back once it reports so after a failure', ['queued', 'applying', 'failed', 'rolled_back'], {}, 'rolled_back'],
    ['is rolled back on the revert of an aborted rollout', ['queued', 'applying', 'reverted'], {}, 'rolled_back'],
    ['is pending while a rollback of a held device waits for it', ['queued'], { hold: HOLD, syncStatus: 'held' }, 'pending'],
    ['is held once that rollback succeeds', ['queued', 'applying', 'succeeded'], { hold: HOLD }, 'held'],
    ['is in sync when its attempt is called off', ['queued', 'called_off'], {}, 'in_sync'],
    ['is held when the attempt of a held device is called off', ['queued', 'called_off'], { hold: HOLD }, 'held'],
    ['is unmanaged when its first attempt is called off', ['queued', 'called_off'], { goodBundle: null }, 'unmanaged'],
    ['is held once an operator holds it', ['hold_set'], { syncStatus: 'failed' }, 'held'],
    ['is in sync once a hold ends', ['hold_ended'], { hold: HOLD, syncStatus: 'held' }, 'in_sync'],
    ['is unmanaged once the hold of a new device ends', ['hold_ended'], { syncStatus: 'held', goodBundle: null }, 'unmanaged'],
    ['stays pending when a hold ends during a rollback', ['queued', 'hold_ended'], { hold: HOLD }, 'pending'],
    ['is drifted while its files are changed by hand', ['drift_found'], {}, 'drifted'],
    ['is in sync once the drift is gone', ['drift_found', 'drift_gone'], {}, 'in_sync'],
    ['is held once the drift of a held device is gone', ['drift_found', 'drift_gone'], { hold: HOLD }, 'held'],
    ['stays failed when there is no drift to end', ['drift_gone'], { syncStatus: 'failed' }, 'failed'],
    ['is in sync once its folder is changed back to what it runs', ['folder_matches'], { syncStatus: 'rolled_back' }, 'in_sync'],
    ['stays pending when its folder is changed back', ['folder_matches'], { syncStatus: 'pending' }, 'pending'],
    ['is unmanaged once its source is deleted', ['source_deleted'], { hold: HOLD }, 'unmanaged'],
  ])('%s', (_title, causes, over, expected) => {
    expect(after(causes, over)).toBe(expected);
  });

  test('is never in sync while the device is held', () => {
    fc.assert(
      fc.property(anyFacts, anyCause, (facts, cause) => {
        fc.pre(cause !== 'hold_ended');
        expect(statusAfter(cause, { ...facts, hold: HOLD })).not.toBe('in_sync');
      }),
    );
  });

  test('is the same after a repeated cause', () => {
    fc.assert(
      fc.property(anyFacts, anyCause, (facts, cause) => {
        const once = statusAfter(cause, facts) ?? facts.syncStatus;
        expect(statusAfter(cause, { ...facts, syncStatus: once }) ?? once).toBe(once);
      }),
    );
  });
});

describe('the expression for statements about many devices', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await openTestDatabase();
  });
  afterAll(() => database.close());

  test('matches the table for every cause, status, hold and bundle', async () => {
    const { sql } = database;
    for (const cause of CAUSES) {
      const rows = await sql<(SyncFacts & { next: SyncStatus })[]>`
        select d.sync_status as "syncStatus", d.good_bundle as "goodBundle", case when d.held_at is not null then '{}'::jsonb end as hold,
          ${statusAfterSql(sql, cause)}::text as next
        from unnest(${[...SYNC_STATUSES]}::text[]) as s (sync_status) cross join unnest(array[null, now()]) as h (held_at)
        cross join unnest(array[null, 'b']) as b (good_bundle)
        cross join lateral (select s.sync_status, h.held_at, b.good_bundle) d`;
      expect(rows).toHaveLength(SYNC_STATUSES.length * 4);
      for (const row of rows) expect([cause, row, row.next]).toEqual([cause, row, statusAfter(cause, row) ?? row.syncStatus]);
    }
  });
});
