import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { postGitLabPush, SIGNING_TOKEN } from '../support/hooks.ts';
import { commitFleet, hostileRepository } from '../support/hostile.ts';
import { openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

const FOLDERS = Array.from({ length: 60 }, (_, n) => `w${String(n).padStart(2, '0')}`);
/** A look-ahead keeps the pattern from the engine of linear time. */
const WILD = {
  'app.json': `{"name":"${'a'.repeat(60)}!"}`,
  's.json': JSON.stringify({ properties: { name: { pattern: '^(?=a)(a+)+$' } } }),
  'bellwether.yaml': 'apiVersion: bellwether/v1\nkind: DeviceConfig\nvalidate:\n  - { files: app.json, schema: s.json }\n',
};

test('beside four hostile fleets of another organization a push is prepared, and of these each folder gets a verdict', async () => {
  await using scene = await openScene({ GIT_WORKERS: '1' });
  const { host, service, api } = scene;
  const root = service.apiAs((await readFile(join(service.dataDir, 'root-token'), 'utf8')).trim());
  const neighbour = service.apiAs((await root('POST', '/organizations', { name: 'neighbour' })).body.adminToken);
  const commits = new Map<string, string>();
  for (const name of ['fleet-0', 'fleet-1', 'fleet-2', 'fleet-3']) {
    const fleet = await hostileRepository(host, name);
    const wild = await fleet.tree(WILD);
    const good = await fleet.tree({ 'app.json': '{"vlan":1}' });
    commits.set(name, await commitFleet(fleet, { ...Object.fromEntries(FOLDERS.map((folder) => [folder, wild])), zgood: good }));
  }
  const created = [...commits.keys()].map((name) => api('POST', '/sources', { name, url: host.urlOf(name), layout: 'fleet' }));
  const hostile = (await Promise.all(created)).map(({ body }) => body.id as string);

  const url = await host.createRepository('quiet');
  const webhook = { provider: 'gitlab', secret: SIGNING_TOKEN };
  const { body: quiet } = await neighbour('POST', '/sources', { name: 'quiet', url, layout: 'repo', webhook });
  const commit = await host.commit('quiet', { 'app.json': '{"n":1}' });
  expect((await postGitLabPush(quiet.hookUrl, { after: commit })).status).toBe(202);
  await eventually('the push is prepared', async () => (await neighbour('GET', `/sources/${quiet.id}`)).body.revisionId);
  const states = await Promise.all(hostile.map(async (id) => (await api('GET', `/sources/${id}`)).body));
  expect(states.filter(({ revisionId }) => revisionId === null).length).toBeGreaterThan(0);

  const first = await eventually('one of the hostile fleets is through', async () => {
    const { items } = (await api('GET', '/sources')).body;
    return items.find(({ revisionId }: { revisionId: string | null }) => revisionId !== null);
  });
  expect(first).toMatchObject({ status: 'partial', lastError: null, headCommit: commits.get(first.name) });
  const { id } = (await api('GET', `/sources/${first.id}/revisions`)).body.items[0];
  const told = JSON.stringify((await api('GET', `/revisions/${id}`)).body);
  expect(told).toContain('used up by devices/w');
});
