import { expect, test } from 'vitest';
import { postGitLabPush, SIGNING_TOKEN } from '../support/hooks.ts';
import { openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

test('the last hook of a flood is followed by a check, and every hook of it is listed and has an event', async () => {
  await using scene = await openScene();
  const { host, api, service } = scene;
  const url = await host.createRepository('flooded');
  const webhook = { provider: 'gitlab', secret: SIGNING_TOKEN };
  const wanted = { name: 'flooded', url, layout: 'repo', webhook, pollIntervalSeconds: 86_400 };
  const { body: source } = await api('POST', '/sources', wanted);
  const push = async (after: string): Promise<number> => (await postGitLabPush(source.hookUrl, { after })).status;
  const flood = Array.from({ length: 120 }, (_, n) => push(String(n).padStart(40, 'a')));
  expect(new Set(await Promise.all(flood))).toEqual(new Set([202]));
  const commit = await host.commit('flooded', { 'app.json': '{"n":1}' });
  expect(await push(commit)).toBe(202);
  await eventually('the last commit is prepared', async () => {
    const { headCommit, revisionId } = (await api('GET', `/sources/${source.id}`)).body;
    return headCommit === commit && revisionId !== null;
  });
  const { sql } = service.database;
  const [row] = await sql`select count(*)::int as count from hook_deliveries where source_id = ${source.id} and verdict = 'accepted'`;
  expect(row?.count).toBe(121);
  await eventually('all events are written', async () => {
    const [{ count } = { count: 0 }] = await sql<{ count: number }[]>`
      select count(*)::int as count from events where type = 'hook.received' and subject = ${`source:${source.id}`}`;
    return count === 121;
  });
});
