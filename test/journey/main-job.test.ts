import { expect, test } from 'vitest';
import { folder, openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

test('a good commit reaches the device, one that does not validate touches nothing, one that fails the health check goes back', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal');
  const device = await scene.device('terminal-1', source.id);
  device.start();

  const good = await scene.push('terminal', source, folder({ vlan: 10, host: 'a.example' }));
  await scene.converged('terminal-1', good);
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":10,"host":"a.example"}' });

  const bad = await scene.push('terminal', source, folder({ vlan: 5000, host: 'a.example' }));
  const rejected = await eventually('the verdict', async () =>
    (await scene.api('GET', `/sources/${source.id}/revisions`)).body.items.find((revision: { commit: string }) => revision.commit === bad),
  );
  expect(rejected.verdict).toBe('invalid');
  const detail = (await scene.api('GET', `/revisions/${rejected.id}`)).body;
  expect(detail.paths[0].errors[0]).toMatchObject({
    file: 'config/app.json',
    line: 1,
    pointer: '/vlan',
    rule: 'maximum',
    limit: 4094,
    actual: 5000,
  });
  expect(detail.devices).toEqual([]);
  expect(await scene.why('terminal-1')).toContain('validation_failed');
  expect((await scene.api('GET', '/devices/terminal-1/deployments')).body.items).toHaveLength(1);

  await scene.push('terminal', source, folder({ vlan: 10, host: 'b.invalid' }));
  await eventually('the rollback', async () => (await scene.status('terminal-1')).device.syncStatus === 'rolled_back');
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":10,"host":"a.example"}' });
  const [last] = (await scene.api('GET', '/devices/terminal-1/deployments')).body.items;
  expect(last).toMatchObject({ state: 'rolled_back', error: { code: 'health_check_failed' } });
  expect((await scene.status('terminal-1')).why[0]).toMatchObject({ code: 'rolled_back' });

  const fixed = await scene.push('terminal', source, folder({ vlan: 11, host: 'a.example' }));
  await scene.converged('terminal-1', fixed);
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":11,"host":"a.example"}' });
  await expectHistory(scene, source.id, good, bad);
});

/** Every act is in the audit log and in the event stream, with the commit. */
async function expectHistory(scene: Awaited<ReturnType<typeof openScene>>, sourceId: string, good: string, bad: string): Promise<void> {
  const audit = (await scene.api('GET', `/audit?subject=source:${sourceId}`)).body.items;
  expect(
    audit.map((entry: { action: string; outcome: string; commit: string | null }) => [entry.action, entry.outcome, entry.commit]),
  ).toEqual(
    expect.arrayContaining([
      ['source.create', 'ok', null],
      ['revision.prepare', 'ok', good],
      ['revision.prepare', 'refused', bad],
    ]),
  );
  const events = (await scene.api('GET', '/events?limit=500')).body.items;
  const cursors = events.map((event: { cursor: number }) => event.cursor);
  expect(cursors).toEqual([...cursors].sort((a, b) => a - b));
  const states = events
    .filter((event: { type: string }) => event.type === 'deployment.state')
    .map((event: { data: { state: string } }) => event.data.state);
  expect(states.filter((state: string) => state === 'succeeded')).toHaveLength(2);
  expect(states).toEqual(expect.arrayContaining(['failed', 'rolled_back']));
}
