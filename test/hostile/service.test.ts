import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { commitFleet, hostileRepository, type Tree } from '../support/hostile.ts';
import { folder, openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

test('in the running service a hostile folder blocks its own device, a hostile repository its own source, and the others go on', async () => {
  await using scene = await openScene({ GIT_WORKERS: '1' });
  const { host, api } = scene;
  const fleet = await hostileRepository(host, 'fleet');
  const good: Tree = nested(folder({ vlan: 7 }));
  const [healthy, link, wild] = await Promise.all([
    fleet.tree(good),
    fleet.entries([{ name: 'link', mode: '120000', oid: await fleet.write('blob', '/etc/passwd') }]),
    fleet.tree({
      ...good,
      'schema.json': JSON.stringify({ properties: { host: { pattern: '^(?=a)(a+)+$' } } }),
      config: { 'app.json': `{"host":"${'a'.repeat(60)}!"}` },
    }),
  ]);
  const commit = await commitFleet(fleet, { healthy, link, wild });
  const bomb = await hostileRepository(host, 'bomb');
  await bomb.commit(await bomb.tree({ 'zeros.bin': Buffer.alloc(40_000_000) }));

  const source = (await api('POST', '/sources', { name: 'fleet', url: fleet.url, layout: 'fleet' })).body as { id: string };
  const broken = (await api('POST', '/sources', { name: 'bomb', url: bomb.url, layout: 'repo' })).body as { id: string };
  for (const id of ['link', 'wild']) await scene.device(id, source.id);
  const device = await scene.device('healthy', source.id);
  device.start();

  await scene.converged('healthy', commit);
  expect(Object.keys((await device.current()) ?? {})).toEqual(['app.json']);
  for (const id of ['link', 'wild']) expect(await scene.why(id)).toEqual(['validation_failed']);
  const sourceError = await eventually('the source with the bomb fails', async () => (await scene.sourceNow(broken.id)).lastError);
  expect(sourceError).toMatchObject({ code: 'git_too_large', detail: expect.stringContaining('40000000 bytes') });

  const { id: revisionId } = (await api('GET', `/sources/${source.id}/revisions`)).body.items[0];
  const told = JSON.stringify((await api('GET', `/revisions/${revisionId}`)).body);
  for (const place of ['devices/link/link', 'devices/wild/config/app.json', 'symlink', 'validation_timeout']) expect(told).toContain(place);
  expect((await readdir(scene.service.dataDir, { recursive: true })).filter((name) => /passwd|zeros/.test(name))).toEqual([]);
});

/** Paths as folders inside folders. */
function nested(files: Record<string, string>): Tree {
  const root: Tree = {};
  for (const [path, content] of Object.entries(files)) {
    const [first = '', second] = path.split('/');
    root[first] = second === undefined ? content : { [second]: content };
  }
  return root;
}
