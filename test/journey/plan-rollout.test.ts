import { expect, test } from 'vitest';
import { openFleet } from '../support/fleet.ts';
import { git } from '../support/git-host.ts';
import { eventually } from '../support/service.ts';

const manifest = (rollout: unknown) => `apiVersion: bellwether/v1\nkind: DeviceConfig\nrollout: ${JSON.stringify(rollout)}\n`;

type Plan = { devices: { id: string; wave: number | null }[]; waves: { devices: number }[] };
/** Devices that a wave takes. */
type Waves = Record<string, number>;

test('a plan says in which waves devices are then really taken', async () => {
  await using fleet = await openFleet();
  const { api, host, service } = fleet;
  const source = await fleet.source('shops');
  const site = (await api('POST', '/sites', { name: 'north' })).body;
  const canaries = await fleet.enrol(source, 2, 'a', { labels: { ring: 'canary' } });
  const north = await fleet.enrol(source, 4, 'b', { siteId: site.id });
  const others = await fleet.enrol(source, 3, 'c');
  // The last one is never heard of.
  await fleet.run([...canaries, ...north, ...others.slice(0, 2)]);
  await fleet.push(source, { 'app.json': '{"n": 0}' });
  await fleet.rollout(source, 'completed');
  await api('POST', '/devices/c-0001/hold', { reason: 'inventory' });

  const planned = async (n: number, rollout: unknown): Promise<{ waves: Waves; plan: Plan; rollout: Waves }> => {
    await git(host.pathOf('shops'), ['update-ref', 'refs/heads/topic', 'refs/heads/main']);
    const commit = await host.commit(
      'shops',
      { 'app.json': JSON.stringify({ n }), 'bellwether.yaml': manifest(rollout) },
      { branch: 'topic' },
    );
    const { status, body: plan } = await api('POST', `/sources/${source.id}/plan?ref=topic`);
    expect([status, plan.commit, plan.verdict]).toEqual([200, commit, 'valid']);
    expect(plan.rolloutPolicy).toMatchObject(rollout as object);
    await git(host.pathOf('shops'), ['update-ref', 'refs/heads/main', commit]);
    await api('POST', `/sources/${source.id}/sync`);
    const done = await eventually('the rollout of the plan', async () => {
      const newest = await fleet.rolloutOf(source.id);
      const [revision] = (await api('GET', `/sources/${source.id}/revisions?limit=1`)).body.items;
      return revision.commit === commit && newest.revisionId === revision.id && newest.state === 'completed' ? newest : undefined;
    });
    const taken = await service.database.sql<{ id: string; wave: number }[]>`
      select distinct on (device_id) device_id as id, wave from deployments where rollout_id = ${done.id} and kind in ('change', 'retry') order by device_id, id`;
    const waves = Object.fromEntries((plan as Plan).devices.flatMap((one) => (one.wave === null ? [] : [[one.id, one.wave]])));
    return { plan, waves, rollout: Object.fromEntries(taken.map(({ id, wave }) => [id, wave])) };
  };

  const named = await planned(1, {
    waves: [{ count: 2 }, { selector: { ring: 'canary' }, name: 'canaries' }, { devices: ['b-0001'] }, { upToPercent: 70 }],
    offlineGraceSeconds: 0,
  });
  expect(named.rollout).toEqual(named.waves);
  expect(named.waves).toEqual({ 'b-0002': 0, 'b-0003': 0, 'a-0001': 1, 'a-0002': 1, 'b-0001': 2, 'b-0004': 3, 'c-0002': 4, 'c-0003': 4 });
  const of = (id: string) => named.plan.devices.find((one) => one.id === id);
  expect(of('c-0001')).toMatchObject({ change: 'changed', wave: null, blockers: ['held'] });
  expect(of('c-0003')).toMatchObject({ wave: 4, waveName: 'rest', blockers: ['offline'] });
  expect(named.plan.waves.map(({ devices }) => devices)).toEqual([2, 2, 1, 1, 2]);

  const bySite = await planned(2, { waves: [{ count: 4 }], maxParallelPerSite: 1, offlineGraceSeconds: 0 });
  // Taken one after the other at a site, and away: it comes when it comes back.
  expect(bySite.rollout).toEqual(bySite.waves);
  expect(Object.keys(bySite.waves)).not.toContain('c-0003');
});
