import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findDiverged } from '../../controller/sweep/chores.ts';
import { cancelAttempts, openDeployments } from '../../src/deployment/attempts.ts';
import { rollBackToGood } from '../../src/device/store/status.ts';
import { type Store, transact, type Unit } from '../../src/event/transact.ts';
import { newId } from '../../src/ids.ts';
import { forgetBundles } from '../../src/revision/stale-paths-store.ts';
import { releaseCandidates, setPaths } from '../../src/revision/store.ts';
import { eligibilityOf } from '../../src/rollout/store/eligibility.ts';
import { insertRollout, rolloutById } from '../../src/rollout/store/store.ts';
import { waveTargets } from '../../src/rollout/store/targets.ts';
import { completeRollout } from '../../src/rollout/transitions.ts';
import { openTestStore, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let store: Store;
let organizationId: string;
let close: () => Promise<void>;
beforeAll(async () => {
  ({ database, store, organizationId, close } = await openTestStore());
});
afterAll(() => close());

const FOLDERS = ['a', 'b', 'c'];
const BUNDLES = ['1', '2', '3'];
const NUMBERS = [0, 1, 2, 3, 4];

/** A source with folders, some without devices at first, and its newest rollout. */
async function openFleet() {
  const { sql } = database;
  const [sourceId, revisionId, rolloutId] = [newId(), newId(), newId()];
  const owner = { organizationId, sourceId };
  const device = (number: number) => `d${number}-${sourceId}`;
  await sql`
    insert into sources (organization_id, id, name, url, ref, layout, poll_interval_seconds) values (${organizationId}, ${sourceId}, ${sourceId}, 'u', 'HEAD', 'fleet', 60)`;
  await sql`
    insert into revisions (organization_id, id, source_id, commit_oid, ref, author_name, author_email, message, committed_at, verdict)
    values (${organizationId}, ${revisionId}, ${sourceId}, 'c', 'HEAD', '', '', '', now(), 'valid')`;
  const rollout = {
    organizationId,
    id: rolloutId,
    sourceId,
    revisionId,
    policy: {},
    kind: 'revision' as const,
    reason: null,
    createdBy: '',
  };
  await insertRollout(sql, rollout);
  for (const number of NUMBERS)
    await sql`
      insert into devices (organization_id, id, name, type, source_id, path, following)
      values (${organizationId}, ${device(number)}, '', '', ${sourceId}, ${FOLDERS[number % 2] ?? ''}, true)`;
  const present = async () => {
    const read = await rolloutById(sql, rolloutId);
    if (read === undefined) throw new Error('the rollout is gone');
    return read;
  };
  return { owner, revisionId, device, present };
}

type Fleet = Awaited<ReturnType<typeof openFleet>>;

/** Changes of a fleet, each performed like the service does. */
type Act =
  | { do: 'release'; folder: string; bundle: string }
  | { do: 'roll_back'; folder: string; bundle: string }
  | { do: 'forget'; folder: string; bundle: string | null }
  | { do: 'deploy'; device: number; bundle: string }
  | { do: 'deploy_all' }
  | { do: 'succeed' }
  | { do: 'go_back'; device: number }
  | { do: 'cancel_queued'; device: number }
  | { do: 'bind'; device: number; folder: string | null }
  | { do: 'follow'; device: number; following: boolean }
  | { do: 'register'; folder: string }
  | { do: 'complete' };

async function perform(unit: Unit, { owner, revisionId, device, present }: Fleet, act: Act): Promise<void> {
  const { tx } = unit;
  const deviceUpdate = (number: number, values: Record<string, unknown>) =>
    tx`update devices set ${tx(values)} where organization_id = ${organizationId} and id = ${device(number)}`;
  switch (act.do) {
    case 'release':
      await tx`
        insert into source_paths (organization_id, source_id, path, candidate_bundle, candidate_revision_id, verdict, evaluated_revision_id)
        values (${organizationId}, ${owner.sourceId}, ${act.folder}, ${act.bundle}, ${revisionId}, 'valid', ${revisionId})
        on conflict (organization_id, source_id, path) do update set candidate_bundle = excluded.candidate_bundle`;
      await releaseCandidates(tx, owner);
      return;
    case 'roll_back':
      await setPaths(tx, owner, [{ path: act.folder, bundle: act.bundle, revisionId }]);
      return;
    case 'forget':
      return forgetBundles(tx, owner, [{ path: act.folder, bundle: act.bundle }]);
    case 'deploy':
      await openDeployments(tx, organizationId, [{ deviceId: device(act.device), bundle: act.bundle, revisionId: null }], {
        kind: 'change',
      });
      return;
    case 'deploy_all': {
      const targets = await waveTargets(tx, await present(), { wave: 0, limit: null, takeAway: true });
      await openDeployments(tx, organizationId, targets, { kind: 'change' });
      return;
    }
    case 'succeed':
      await tx`update deployments set state = 'succeeded' where organization_id = ${organizationId} and device_id like ${`%${owner.sourceId}`}`;
      await tx`update devices set good_bundle = desired_bundle, deployment_id = null where source_id = ${owner.sourceId}`;
      return;
    case 'go_back':
      await rollBackToGood(tx, organizationId, [{ deviceId: device(act.device), bundle: '9', code: '', detail: '', isRevert: false }]);
      return;
    case 'cancel_queued':
      await cancelAttempts(tx, organizationId, [device(act.device)]);
      return;
    case 'bind':
      await deviceUpdate(act.device, { path: act.folder });
      return;
    case 'follow':
      await deviceUpdate(act.device, { following: act.following });
      return;
    case 'register':
      await tx`
        insert into devices (organization_id, id, name, type, source_id, path, following)
        values (${organizationId}, ${newId()}, '', '', ${owner.sourceId}, ${act.folder}, true)`;
      return;
    case 'complete':
      await tx`update rollouts set state = 'running' where id = ${(await present()).id}`;
      return completeRollout(unit, await present(), owner.sourceId);
  }
}

const oneOf = fc.constantFrom;
const acts = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: oneOf('release' as const), folder: oneOf(...FOLDERS), bundle: oneOf(...BUNDLES) }) },
    fc.record({ do: oneOf('roll_back' as const), folder: oneOf(...FOLDERS), bundle: oneOf(...BUNDLES) }),
    fc.record({ do: oneOf('forget' as const), folder: oneOf(...FOLDERS), bundle: oneOf(null, ...BUNDLES) }),
    fc.record({ do: oneOf('deploy' as const), device: oneOf(...NUMBERS), bundle: oneOf(...BUNDLES) }),
    { weight: 3, arbitrary: fc.record({ do: oneOf('deploy_all' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: oneOf('succeed' as const) }) },
    fc.record({ do: oneOf('go_back' as const), device: oneOf(...NUMBERS) }),
    fc.record({ do: oneOf('cancel_queued' as const), device: oneOf(...NUMBERS) }),
    fc.record({ do: oneOf('bind' as const), device: oneOf(...NUMBERS), folder: oneOf(null, ...FOLDERS) }),
    fc.record({ do: oneOf('follow' as const), device: oneOf(...NUMBERS), following: fc.boolean() }),
    fc.record({ do: oneOf('register' as const), folder: oneOf(...FOLDERS) }),
    { weight: 3, arbitrary: fc.record({ do: oneOf('complete' as const) }) },
  ),
  { minLength: 1, maxLength: 25 },
);

/** The expected devices, found by comparing every device with its folder. */
async function wanted({ owner }: Fleet): Promise<string[]> {
  const rows = await database.sql<{ id: string }[]>`
    select d.id from devices d join source_paths p on p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path
    where d.source_id = ${owner.sourceId} and d.following and p.bundle is not null
      and p.bundle is distinct from d.desired_bundle and p.bundle is distinct from d.quarantined_bundle order by d.id`;
  return rows.map(({ id }) => id);
}

async function found({ present }: Fleet): Promise<string[]> {
  const targets = await waveTargets(database.sql, await present(), { wave: 0, limit: null, takeAway: true });
  return targets.map(({ deviceId }) => deviceId);
}

test('after any changes, waveTargets() finds the devices whose desired bundle is not that of their folder', async () => {
  await fc.assert(
    fc.asyncProperty(fc.boolean(), acts, async (isNew, each) => {
      const fleet = isNew ? await openFleet() : await releasedFleet();
      for (const act of each) {
        await transact(store, (unit) => perform(unit, fleet, act));
        const expected = await wanted(fleet);
        expect(await found(fleet)).toEqual(expected);
        expect((await eligibilityOf(database.sql, await fleet.present(), 0)).eligible.total).toBe(expected.length);
      }
    }),
    { numRuns: 60 },
  );
});

/** A fleet whose first rollout reached all devices and is completed. */
async function releasedFleet(): Promise<Fleet> {
  const fleet = await openFleet();
  const steps: Act[] = [{ do: 'release', folder: 'a', bundle: '1' }, { do: 'release', folder: 'b', bundle: '1' }, { do: 'deploy_all' }];
  for (const act of [...steps, { do: 'succeed' }, { do: 'complete' }] satisfies Act[])
    await transact(store, (unit) => perform(unit, fleet, act));
  return fleet;
}

/** Rows that a search for targets must read. */
async function toCheck({ owner }: Fleet): Promise<{ folders: number; devices: number }> {
  const [row] = await database.sql<[{ folders: number; devices: number }]>`
    select (select count(*)::int from source_paths where source_id = ${owner.sourceId} and not released) as folders,
      (select count(*)::int from devices where source_id = ${owner.sourceId} and diverged and following) as devices`;
  return row;
}

test('a search reads only changes: nothing in an unchanged fleet, one folder after a commit to it, and nothing after its rollout', async () => {
  const fleet = await releasedFleet();
  expect(await toCheck(fleet)).toEqual({ folders: 0, devices: 0 });
  const act = (step: Act) => transact(store, (unit) => perform(unit, fleet, step));
  await act({ do: 'release', folder: 'a', bundle: '2' });
  expect(await toCheck(fleet)).toEqual({ folders: 1, devices: 0 });
  await act({ do: 'deploy_all' });
  await act({ do: 'succeed' });
  await act({ do: 'complete' });
  expect(await toCheck(fleet)).toEqual({ folders: 0, devices: 0 });
});

test('a device that runs the desired bundle by chance is read until its folder is released, or for an hour', async () => {
  const fleet = await releasedFleet();
  const act = (step: Act) => transact(store, (unit) => perform(unit, fleet, step));
  await act({ do: 'deploy', device: 0, bundle: '3' });
  await act({ do: 'roll_back', folder: 'a', bundle: '3' });
  await act({ do: 'complete' });
  // Only the other devices of the folder run another bundle.
  expect(await toCheck(fleet)).toEqual({ folders: 0, devices: 2 });
  await act({ do: 'deploy_all' });
  expect(await toCheck(fleet)).toEqual({ folders: 0, devices: 0 });
  await database.sql`update devices set diverged = true where source_id = ${fleet.owner.sourceId}`;
  await findDiverged.run({ store } as never);
  expect(await toCheck(fleet)).toEqual({ folders: 0, devices: 0 });
});

test('findDiverged marks a device whose mark is missing after a race or a manual change, and wakes its rollout', async () => {
  const fleet = await releasedFleet();
  const stray = fleet.device(0);
  await transact(store, (unit) => perform(unit, fleet, { do: 'deploy', device: 0, bundle: '3' }));
  await database.sql`update devices set diverged = false where id = ${stray}`;
  expect(await found(fleet)).toEqual([]);
  const { id: rolloutId } = await fleet.present();
  await database.sql`delete from pgboss.job`;
  await findDiverged.run({ store } as never);
  expect(await found(fleet)).toEqual([stray]);
  const jobs = await database.sql<{ data: unknown }[]>`select data from pgboss.job where name = 'rollout'`;
  expect(jobs.map(({ data }) => JSON.stringify(data)).join()).toContain(rolloutId);
});
