import { expect, test } from 'vitest';
import { prune } from '../../controller/sweep/chores.ts';
import { folder, openPlanScene, type PlanScene } from '../plan/support.ts';
import { TOKEN } from '../support/forge-server.ts';
import { eventually } from '../support/service.ts';

const posted = (commit: string) => (request: { posting: string; commit: string | null }) =>
  request.posting === 'posted' && request.commit === commit;

/** The state of the source's rollouts beside a commit, once it is this. */
async function rolloutStatus(scene: PlanScene, commit: string, state: string) {
  return eventually(`the rollout shows as ${state}`, async () => {
    const status = scene.statuses(commit)[scene.source.name];
    return status?.state === state ? status : undefined;
  });
}

test('a merge request is planned before it is merged, with every push anew, and its rollout shows beside the commit', async () => {
  await using scene = await openPlanScene('gitlab', { rolloutPolicy: { waves: [{ name: 'canary', count: 1 }] } });
  const { fleet, source, forge } = scene;
  await fleet.run(await fleet.enrol(source, 3, 'till'));
  const first = await fleet.push(source, folder({ vlan: 6, code: 'kestrel-41' }));
  await fleet.rollout(source, 'completed');
  expect(await rolloutStatus(scene, first, 'success')).toMatchObject({ description: 'completed: 3 devices' });

  await scene.branch('topic');
  const good = await scene.propose(folder({ vlan: 7, code: 'osprey-98' }));
  expect(await scene.sendHook({ head: good })).toMatchObject({ status: 202, outcome: 'accepted' });
  const opened = await scene.request('the plan is posted', posted(good));
  expect(opened).toMatchObject({ number: 1, state: 'open', title: 'VLAN 7', verdict: 'valid', base: first, lastError: null, failures: 0 });
  expect(opened.summary).toEqual({ devices: 3, changed: 3, blocked: 0, invalid: 0, unchanged: 0, folders: 1 });
  const [comment] = forge.state.comments;
  expect(opened.commentUrl).toContain(String(comment?.id));
  expect(comment?.body).toContain('-  "vlan": 6');
  expect(comment?.body).toContain('+  "vlan": 7');
  expect(comment?.body).toContain('1. `canary`: 1 device\n2. `rest`: 2 devices');
  expect(comment?.body).not.toMatch(/kestrel|osprey/);
  expect(scene.statuses(good)).toEqual({ plan: { state: 'success', description: '3 of 3 devices change' } });

  const bad = await scene.propose({ 'app.json': '{\n  "vlan": 5000\n}' });
  await scene.sendHook({ head: bad, action: 'push' });
  await scene.request('the next plan is posted', posted(bad));
  expect(scene.statuses(bad).plan).toEqual({ state: 'failed', description: expect.stringMatching(/^app\.json:2\b.*\/vlan/) });
  expect(forge.state.comments.map(({ id }) => id)).toEqual([comment?.id]);
  expect(forge.state.comments[0]?.body).toContain('/vlan');

  await scene.merge(good);
  await scene.sendHook({ head: good, action: 'close' });
  await fleet.api('POST', `/sources/${source.id}/sync`);
  await rolloutStatus(scene, good, 'success');
  const states = forge.requests.filter(({ path }) => path.endsWith(`/statuses/${good}`)).map(({ body }) => [body.name, body.state]);
  expect(states).toContainEqual([`bellwether/${source.name}`, 'success']);
  expect(scene.statuses(good)).toMatchObject({ plan: { state: 'success' }, [source.name]: { description: 'completed: 3 devices' } });
  expect((await scene.request('it is closed', ({ state }) => state === 'closed')).closedAt).not.toBeNull();
  const kept = async () => (await fleet.api('GET', `/sources/${source.id}/merge-requests`)).body.items.length;
  await prune.run(fleet.service.app.services);
  expect(await kept()).toBe(1);
  await fleet.service.database.sql`update merge_requests set closed_at = now() - interval '31 days'`;
  await prune.run(fleet.service.app.services);
  expect(await kept()).toBe(0);
});

test('a rollout shows as waiting, as running and as failed, with the reasons', async () => {
  await using scene = await openPlanScene('gitlab', {
    rolloutPolicy: { waves: [{ name: 'canary', count: 1, bakeSeconds: 3600 }], approval: { beforeRollout: true } },
  });
  const { fleet, source, api } = scene;
  await fleet.run(await fleet.enrol(source, 3, 'till'));
  const commit = await fleet.push(source, folder({ vlan: 6 }));
  const { id } = await fleet.rollout(source, 'awaiting_approval');
  expect((await rolloutStatus(scene, commit, 'pending')).description).toContain('waiting');
  await api('POST', `/rollouts/${id}/approve`, {});
  await eventually('its numbers', async () => /1 of 3 devices, canary/.test(scene.statuses(commit)[source.name]?.description ?? ''));
  expect((await rolloutStatus(scene, commit, 'running')).description).toContain('1 of 3 devices, canary');
  await api('POST', `/rollouts/${id}/abort`, { reason: 'complaints' });
  expect((await rolloutStatus(scene, commit, 'failed')).description).toContain('admin: complaints');
});

test.each(['github', 'gitea'] as const)('a pull request at %s is planned, unless it is to be merged elsewhere', async (kind) => {
  await using scene = await openPlanScene(kind);
  await scene.host.commit('fleet/tills', folder({ vlan: 6 }));
  await scene.branch('topic');
  const head = await scene.propose(folder({ vlan: 7 }));
  expect(await scene.sendHook({ number: 2, head, target: 'release' })).toMatchObject({ outcome: 'other_ref' });
  await scene.sendHook({ head });
  await scene.request('the plan is posted', posted(head));
  expect(scene.statuses(head).plan).toMatchObject({ state: 'success' });
  expect(scene.forge.state.comments).toHaveLength(1);
  expect((await scene.api('GET', `/sources/${scene.source.id}/merge-requests`)).body.items).toHaveLength(1);
});

test('what counts is what the repository shows, whatever hooks say in whatever order', async () => {
  await using scene = await openPlanScene('gitlab');
  await scene.host.commit('fleet/tills', folder({ vlan: 6 }));
  await scene.branch('topic');
  const old = await scene.propose(folder({ vlan: 7 }));
  const head = await scene.propose(folder({ vlan: 8 }));
  await Promise.all([head, old, head, old].map((commit) => scene.sendHook({ head: commit, action: 'push' })));
  await scene.request('the newest is posted', posted(head));
  expect(scene.statuses(old)).toEqual({});
  const planned = await scene.fleet.service.database.sql`select data->>'commit' as commit from events where type = 'merge_request.planned'`;
  // Planned again where the branch that it goes into moved meanwhile.
  expect([...new Set(planned.map(({ commit }) => commit))]).toEqual([head]);
});

test('while the host fails a plan waits, and is then posted once; a token that may not comment is told, and what it takes', async () => {
  await using scene = await openPlanScene('gitlab');
  const { api, forge, source } = scene;
  const { sql } = scene.fleet.service.database;
  await scene.host.commit('fleet/tills', folder({ vlan: 6 }));
  await scene.branch('topic');
  const head = await scene.propose(folder({ vlan: 7 }));
  forge.fault({ kind: 'answer', status: 503, path: /notes/ });
  await scene.sendHook({ head });
  const waiting = await scene.request('the failure', ({ failures }) => failures > 0);
  expect(waiting).toMatchObject({ posting: 'pending', verdict: 'valid', lastError: { code: 'forge_server_error' } });
  expect(Date.parse(waiting.nextTryAt ?? '')).not.toBeNaN();
  forge.clearFaults();
  await sql`update merge_requests set due_at = now()`;
  await scene.request('it is posted', posted(head));
  expect(forge.state.comments).toHaveLength(1);

  forge.state.tokens[TOKEN] = { accountId: 7, may: ['account'] };
  const next = await scene.propose(folder({ vlan: 8 }));
  await scene.sendHook({ head: next, action: 'push' });
  const refused = await scene.request('the refusal', ({ posting }) => posting === 'failed');
  expect(refused).toMatchObject({
    nextTryAt: null,
    lastError: { code: 'forge_forbidden', detail: expect.stringContaining('scope "api"') },
  });
  const events = (await api('GET', '/events?limit=500')).body.items.filter(
    ({ type }: { type: string }) => type === 'merge_request.not_posted',
  );
  expect(events).toMatchObject([{ subject: `source:${source.id}`, data: { number: 1, code: 'forge_forbidden' } }]);

  forge.state.tokens[TOKEN] = { accountId: 7, may: ['account', 'comment', 'status'] };
  const [delivery] = (await api('GET', `/sources/${source.id}/deliveries`)).body.items;
  expect((await api('POST', `/sources/${source.id}/deliveries/${encodeURIComponent(delivery.deliveryId)}/redeliver`)).status).toBe(202);
  await scene.request('it is posted after all', posted(next));
});

test('a source that wants nothing told is planned for its own people only', async () => {
  await using scene = await openPlanScene('gitlab', { reportStatus: false });
  await scene.host.commit('fleet/tills', folder({ vlan: 6 }));
  await scene.branch('topic');
  const head = await scene.propose(folder({ vlan: 7 }));
  await scene.sendHook({ head });
  const request = await scene.request('the plan', ({ plannedAt, posting }) => plannedAt !== null && posting === 'none');
  expect(request).toMatchObject({ verdict: 'valid', commit: head, lastError: null });
  expect(scene.forge.requests).toEqual([]);
});

test('a rollout that ended while the host was down shows once it is up; one that a token may not tell is told of once', async () => {
  await using scene = await openPlanScene('gitlab');
  const { fleet, source, forge, api } = scene;
  const { sql } = fleet.service.database;
  await fleet.run(await fleet.enrol(source, 1, 'till'));
  forge.fault({ kind: 'answer', status: 503, path: /statuses/ });
  const commit = await fleet.push(source, folder({ vlan: 6 }));
  await fleet.rollout(source, 'completed');
  await eventually('the failure', async () => (await sql`select 1 from rollout_statuses where failures > 0`).length === 1);
  expect(scene.statuses(commit)).toEqual({});
  forge.clearFaults();
  await eventually('it shows', async () => {
    await sql`update rollout_statuses set due_at = now(), retry_at = now() where failures > 0`;
    return scene.statuses(commit)[source.name]?.state === 'success';
  });
  expect(forge.state.statuses.map(({ state }) => state)).toEqual(['success']);

  forge.state.tokens[TOKEN] = { accountId: 7, may: ['account', 'comment'] };
  const refused = async () =>
    (await api('GET', '/events?limit=500')).body.items.filter(({ type }: { type: string }) => type === 'rollout.not_reported');
  for (const vlan of [7, 8]) {
    await fleet.push(source, folder({ vlan }));
    const { id } = await fleet.rollout(source, 'completed');
    await eventually(
      'the refusal',
      async () => (await sql`select 1 from rollout_statuses where rollout_id = ${id} and error_code = 'forge_forbidden'`).length === 1,
    );
  }
  expect(await refused()).toMatchObject([{ data: { code: 'forge_forbidden', detail: expect.stringContaining('scope "api"') } }]);
});
