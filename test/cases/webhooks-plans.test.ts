import { expect, test } from 'vitest';
import { folder, openPlanScene } from '../plan/support.ts';
import { TOKEN } from '../support/forge-server.ts';
import { eventually } from '../support/service.ts';

test('an open merge request is planned again when its target moves, and when its source is readable again', async () => {
  await using scene = await openPlanScene('gitlab', { pollIntervalSeconds: 86_400 });
  const { host, source, fleet, api, forge } = scene;
  const { sql } = fleet.service.database;
  const sync = () => api('POST', `/sources/${source.id}/sync`);
  const first = await host.commit('fleet/tills', folder({ vlan: 1 }));
  await sync();
  await eventually('the first commit', async () => (await api('GET', `/sources/${source.id}`)).body.headCommit === first);
  await scene.branch('topic');
  const head = await scene.propose({ 'note.txt': 'of the topic' });
  await scene.sendHook({ head });
  const planned = await scene.request('the plan is posted', ({ posting, verdict }) => posting === 'posted' && verdict === 'valid');
  expect(planned).toMatchObject({ base: first, commit: head });
  // A request is planned again at most once a minute; this one was planned long ago.
  await sql`update merge_requests set planned_at = now() - interval '2 minutes'`;
  const second = await host.commit('fleet/tills', folder({ vlan: 2 }));
  await sync();
  const again = await scene.request(
    'it is planned as of the new base',
    (request) => request.base === second && request.posting === 'posted',
  );
  expect(again).toMatchObject({ commit: head, verdict: 'valid', state: 'open' });
  expect(forge.state.comments).toHaveLength(1);
  expect(forge.state.comments[0]?.body).toContain(second.slice(0, 12));

  // The repository moves, so that the request is unreadable for a while.
  await api('PATCH', `/sources/${source.id}`, { url: forge.repositoryUrl.replace('tills', 'gone'), auth: { token: 'x-unknown' } });
  await scene.sendHook({ head, action: 'push' });
  await sql`update merge_requests set failures = 10, due_at = now()`;
  await scene.request('the plan is not computed', ({ verdict }) => verdict === 'error');
  await api('PATCH', `/sources/${source.id}`, { url: forge.repositoryUrl, auth: { token: TOKEN } });
  const back = await scene.request(
    'it is planned after the next good check',
    ({ verdict, posting }) => verdict === 'valid' && posting === 'posted',
  );
  expect(back).toMatchObject({ commit: head, base: second, lastError: null });

  // The source now follows another branch than the request's target.
  await scene.branch('release');
  await host.commit('fleet/tills', folder({ vlan: 3 }), { branch: 'release' });
  await api('PATCH', `/sources/${source.id}`, { ref: 'release' });
  await scene.request('it is closed', ({ state }) => state === 'closed');
});

test('the newest of many open merge requests are planned again, each at most once a minute, and closed ones never', async () => {
  await using scene = await openPlanScene('gitlab', { pollIntervalSeconds: 86_400, reportStatus: false });
  const { host, source, fleet, api } = scene;
  const { sql } = fleet.service.database;
  const first = await host.commit('fleet/tills', folder({ vlan: 1 }));
  await api('POST', `/sources/${source.id}/sync`);
  await eventually('the first commit', async () => (await api('GET', `/sources/${source.id}`)).body.headCommit === first);
  await sql`
    insert into merge_requests (organization_id, id, source_id, number, state, head_ref, head_commit, base_commit, verdict, planned_at, due_at, noticed_at)
    select organization_id, uuid_v7(), id, n, case when n = 60 then 'closed' else 'open' end, 'refs/merge-requests/' || n || '/head', ${first}, ${first}, 'valid',
      now() + interval '1 hour', null, now() - make_interval(mins => 100 - n) from sources, generate_series(1, 60) n where id = ${source.id}`;
  const second = await host.commit('fleet/tills', folder({ vlan: 2 }));
  await api('POST', `/sources/${source.id}/sync`);
  await eventually('the second commit', async () => (await api('GET', `/sources/${source.id}`)).body.headCommit === second);
  const due = await sql<{ number: number; seconds: number }[]>`
    select number, extract(epoch from due_at - planned_at)::float8 as seconds from merge_requests where due_at is not null order by number`;
  expect(due.map(({ number }) => number)).toEqual(Array.from({ length: 50 }, (_, index) => index + 10));
  expect(new Set(due.map(({ seconds }) => seconds))).toEqual(new Set([60]));
});
