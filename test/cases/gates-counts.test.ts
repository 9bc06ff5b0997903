import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { noteLateFailures } from '../../src/deployment/attempts.ts';
import type { Store } from '../../src/event/transact.ts';
import { newId } from '../../src/ids.ts';
import { RolloutPolicy } from '../../src/policy/policy.ts';
import { rolloutDevices, waveCounts } from '../../src/rollout/store/counts.ts';
import { eligibilityOf, evidenceOf } from '../../src/rollout/store/eligibility.ts';
import { insertRollout, rolloutById } from '../../src/rollout/store/store.ts';
import { openTestStore, type TestDatabase } from '../support/database.ts';

/** PostgreSQL's counts of a rollout: each device once, regardless of its attempts, and devices that it never started. */

let database: TestDatabase;
let store: Store;
let organizationId: string;
let close: () => Promise<void>;
beforeAll(async () => {
  ({ database, store, organizationId, close } = await openTestStore());
});
afterAll(() => close());

let owner: { sourceId: string; revisionId: string; rolloutId: string };
const id = (name: string) => `${name}-${owner.sourceId.slice(-12)}`;

/** A source whose folder `a` holds the new bundle, which no rollout has established. */
beforeEach(async () => {
  const { sql } = database;
  const [sourceId, revisionId, rolloutId] = [newId(), newId(), newId()];
  owner = { sourceId, revisionId, rolloutId };
  await sql`
    insert into sources (organization_id, id, name, url, ref, layout, poll_interval_seconds) values (${organizationId}, ${sourceId}, ${sourceId}, 'u', 'HEAD', 'fleet', 60)`;
  await sql`
    insert into revisions (organization_id, id, source_id, commit_oid, ref, author_name, author_email, message, committed_at, verdict)
    values (${organizationId}, ${revisionId}, ${sourceId}, 'c', 'HEAD', '', '', '', now(), 'valid')`;
  await sql`
    insert into source_paths (organization_id, source_id, path, bundle, candidate_bundle, stable_bundle, verdict, evaluated_revision_id)
    values (${organizationId}, ${sourceId}, 'a', 'new', 'new', 'old', 'valid', ${revisionId})`;
});

async function rollout(policy: unknown) {
  await insertRollout(database.sql, {
    ...{ organizationId, id: owner.rolloutId, sourceId: owner.sourceId, revisionId: owner.revisionId, policy: RolloutPolicy.parse(policy) },
    ...{ kind: 'revision', reason: null, createdBy: '' },
  });
  const found = await rolloutById(database.sql, owner.rolloutId);
  if (found === undefined) throw new Error('the rollout is gone');
  return found;
}

async function device(name: string, over: Record<string, unknown> = {}): Promise<string> {
  const { sql } = database;
  const row = { organization_id: organizationId, id: id(name), name, type: '', source_id: owner.sourceId, path: 'a', following: true };
  await sql`insert into devices ${sql({ ...row, connectivity: 'online', desired_bundle: 'old', good_bundle: 'old', ...over })}`;
  return id(name);
}

async function attempt(deviceId: string, state: string, over: Record<string, unknown> = {}): Promise<string> {
  const { sql } = database;
  const row = {
    organization_id: organizationId,
    id: newId(),
    device_id: deviceId,
    rollout_id: owner.rolloutId,
    wave: 0,
    bundle: 'new',
    kind: 'change',
  };
  await sql`insert into deployments ${sql({ ...row, state, ...over })}`;
  return row.id;
}

test('a failed device counts once, even if a later attempt is superseded or cancelled, or if it reports only after that', async () => {
  const present = await rollout({});
  const [twice, retried, late, taken, well] = [
    await device('a'),
    await device('b'),
    await device('c'),
    await device('d'),
    await device('e'),
  ];
  await attempt(twice, 'timed_out');
  await attempt(twice, 'failed', { kind: 'retry' });
  await attempt(retried, 'rolled_back');
  await attempt(retried, 'cancelled', { kind: 'retry' });
  const superseded = await attempt(late, 'superseded');
  await attempt(taken, 'superseded');
  await attempt(well, 'failed');
  await attempt(well, 'succeeded', { kind: 'retry' });
  const count = async () => (await waveCounts(database.sql, present)).map(({ failed, succeeded }) => ({ failed, succeeded }));
  expect(await count()).toEqual([{ failed: 2, succeeded: 1 }]);

  const failure = { id: superseded, deviceId: late, code: 'health_check_failed', detail: 'no answer' };
  expect(await noteLateFailures(store.sql, organizationId, [failure])).toEqual([present.id]);
  expect(await noteLateFailures(store.sql, organizationId, [failure])).toEqual([]);
  expect(await count()).toEqual([{ failed: 3, succeeded: 1 }]);
  const listed = await rolloutDevices(database.sql, present, { outcome: 'failed' }, '', 10);
  expect(listed.map(({ deviceId }) => deviceId)).toEqual([twice, retried, late]);
  const [kept] = await database.sql`select quarantined_bundle from devices where id = ${late}`;
  expect(kept).toEqual({ quarantined_bundle: 'new' });
});

test('quarantined devices count by the first wave that names them, unless the rollout started them or an earlier one established the bundle', async () => {
  const present = await rollout({ waves: [{ count: 1 }, { devices: [id('a'), id('d')] }, { selector: { ring: 'x' } }] });
  const refused = { quarantined_bundle: 'new' };
  await device('a', { ...refused, labels: { ring: 'x' } });
  await device('b', { ...refused, labels: { ring: 'x' }, held_at: new Date() });
  await device('c', refused);
  await attempt(await device('d', refused), 'rolled_back');
  await device('e');
  await device('f', { following: false });
  const eligibility = await eligibilityOf(database.sql, present, 0);
  expect(Object.fromEntries(eligibility.quarantined)).toEqual({ [-1]: 1, 1: 1, 2: 1 });
  expect(eligibility).toMatchObject({ kept: 1, eligible: { total: 1, reachable: 1, away: 0, room: 1 } });
  const listed = await rolloutDevices(database.sql, present, { outcome: 'quarantined' }, '', 10);
  expect(listed.map(({ deviceId, wave }) => [deviceId, wave])).toEqual([
    [id('a'), 1],
    [id('b'), 2],
    [id('c'), null],
  ]);
  await database.sql`update source_paths set stable_bundle = 'new', released = true where source_id = ${owner.sourceId}`;
  expect((await eligibilityOf(database.sql, present, 0)).quarantined.size).toBe(0);
});

test('evidence names the reason that blocks each device of a wave', async () => {
  const names = ['held', 'stopped', 'offline', 'refused', 'same', 'busy', 'free'];
  const present = await rollout({ waves: [{ devices: [...names.map(id), 'nobody'] }] });
  await device('held', { held_at: new Date() });
  await device('stopped', { following: false });
  await device('offline', { connectivity: 'offline' });
  await device('refused', { quarantined_bundle: 'new', held_at: new Date() });
  await device('same', { desired_bundle: 'new', good_bundle: 'new' });
  const busy = await device('busy', { desired_bundle: 'new' });
  const foreign = await attempt(busy, 'applying', { rollout_id: null });
  await database.sql`update devices set deployment_id = ${foreign} where id = ${busy}`;
  await device('free');
  const evidence = await evidenceOf(database.sql, present, 0);
  expect(evidence).toMatchObject({ members: 8, same: 1, elsewhere: 1, kept: 2, outTotal: 7 });
  expect(Object.fromEntries(evidence.out.map(({ deviceId, why }) => [deviceId.split('-')[0], why]))).toEqual({
    busy: 'elsewhere',
    free: 'not_updated',
    held: 'held',
    nobody: 'unknown',
    offline: 'offline',
    refused: 'quarantined',
    stopped: 'stopped',
  });
  // A folder that this revision made invalid counts; one that was invalid before the last completed rollout does not.
  await database.sql`update source_paths set verdict = 'invalid', bundle = 'old' where source_id = ${owner.sourceId}`;
  expect((await evidenceOf(database.sql, present, 0)).kept).toBe(7);
});
