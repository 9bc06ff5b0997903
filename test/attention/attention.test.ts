import { expect, test } from 'vitest';
import { hashToken, last4, mintToken } from '../../src/crypto/tokens.ts';
import { newId } from '../../src/ids.ts';
import { insertToken } from '../../src/organization/store.ts';
import { SHELF } from '../support/platform.ts';
import { eventually } from '../support/service.ts';
import { openFlock } from './support.ts';

const SECRET = 'Tr0ub4dor-and-3-horses';

test('failures of one rollout are one item with its causes: each with its count, first device, log line, and no secret', async () => {
  await using flock = await openFlock();
  const { api, service } = flock;
  const source = await flock.source('tills', { rolloutPolicy: { errorBudget: { max: 100 } } });
  const ids = ['anna', 'bert', 'cleo', 'dora', 'emil', 'fred'];
  for (const id of ids) await flock.device(id, { sourceId: source.id });
  await flock.push(source, { 'app.json': '{"host":"a.example"}' });
  for (const id of ids) await flock.answer(id, null);
  await flock.rollout(source, 'completed');
  expect((await api('GET', '/attention')).body.items).toEqual([]);

  const { commit, revision } = await flock.push(source, { 'app.json': '{"host":"b.example"}' });
  const unreachable = (id: string, port: number) => ({
    code: 'health_check_failed',
    detail: `${id} cannot reach 10.0.0.${port}:80${port} after ${port} s`,
    log: `connect failed: password=${SECRET} on try ${port}`,
  });
  await flock.answer('bert', unreachable('bert', 11));
  await flock.answer('anna', unreachable('anna', 12));
  await flock.answer('cleo', unreachable('cleo', 13));
  await flock.answer('dora', { code: 'hook_failed', detail: `hook reload ended with 3: token: ${SECRET}` });
  await flock.answer('emil', { code: 'hook_failed', detail: `hook reload ended with 4: token: ${SECRET}` });
  await flock.answer('fred', { code: 'health_check_failed', detail: '' });

  const answer = await eventually('all failures are shown', async () => {
    const { body } = await api('GET', '/attention');
    return body.items[0]?.count === 6 ? body : undefined;
  });
  const rollout = await flock.rolloutOf(source.id);
  const [item] = answer.items;
  expect(answer).toMatchObject({ more: 0, cursor: expect.any(Number) });
  expect(item).toMatchObject({
    kind: 'rollout_failures',
    subject: { type: 'rollout', id: rollout.id },
    firstDevice: 'bert',
    moreCauses: 0,
    numbers: { succeeded: 0, failed: 6, budget: '100' },
    links: { rolloutId: rollout.id, revisionId: revision, sourceId: source.id, deviceId: 'bert' },
    causes: [
      {
        code: 'health_check_failed',
        detail: '<device> cannot reach <address> after <n> s',
        count: 3,
        firstDevice: 'bert',
        sample: { level: 'error', message: expect.stringContaining('connect failed: password=') },
      },
      { code: 'hook_failed', count: 2, firstDevice: 'dora' },
      { code: 'health_check_failed', detail: '', count: 1, firstDevice: 'fred', sample: { message: 'applying' } },
    ],
  });
  expect(item.title).toMatch(new RegExp(`^6 devices failed on ${commit.slice(0, 8)} of "tills" for 3 causes; its rollout is`));

  for (const scope of [`rollout=${rollout.id}`, `revision=${revision}`]) {
    const { body } = await api('GET', `/attention/causes?${scope}`);
    expect(body.devices).toBe(6);
    expect(body.causes.map(({ count }: { count: number }) => count)).toEqual([3, 2, 1]);
    const { cause } = body.causes[0];
    const first = (await api('GET', `/attention/causes/devices?${scope}&cause=${cause}&limit=2`)).body;
    const rest = (await api('GET', `/attention/causes/devices?${scope}&cause=${cause}&limit=2&cursor=${first.nextCursor}`)).body;
    expect([...first.items, ...rest.items].map(({ deviceId }: { deviceId: string }) => deviceId)).toEqual(['anna', 'bert', 'cleo']);
    expect(rest.nextCursor).toBeNull();
    expect(JSON.stringify([body, first])).not.toContain(SECRET);
  }
  expect(JSON.stringify(answer)).not.toContain(SECRET);

  // A viewer sees no act that the API would refuse.
  const token = mintToken('token');
  const [{ id: organizationId }] = await service.database.sql<[{ id: string }]>`select id from organizations`;
  await insertToken(service.database.sql, organizationId, {
    id: newId(),
    name: 'v',
    role: 'viewer',
    hash: hashToken(token),
    last4: last4(token),
  });
  const viewed = (await service.apiAs(token)('GET', '/attention')).body.items[0];
  expect(viewed.actions).toEqual([]);
  expect(item.actions).not.toEqual([]);

  // A newer commit that succeeds ends it.
  await flock.push(source, { 'app.json': '{"host":"c.example"}' });
  for (const id of ids) await flock.answer(id, null);
  await flock.rollout(source, 'completed');
  expect((await api('GET', '/attention')).body.items).toEqual([]);
}, 300_000);

test('a device that succeeds on its retry counts no more, and one that fails again counts by its last cause', async () => {
  await using flock = await openFlock();
  const { api } = flock;
  const source = await flock.source('pumps', { rolloutPolicy: { errorBudget: { max: 10 } } });
  for (const id of ['a', 'b']) await flock.device(id, { sourceId: source.id });
  await flock.push(source, { 'app.json': '{"v":1}' });
  for (const id of ['a', 'b']) await flock.answer(id, { code: 'health_check_failed', detail: 'first' });
  await eventually('both failed', async () => (await api('GET', '/attention')).body.items[0]?.count === 2);
  const { id: rolloutId } = await flock.rolloutOf(source.id);
  expect((await api('POST', `/rollouts/${rolloutId}/retry`, {})).status).toBe(200);
  expect((await api('GET', `/attention/causes?rollout=${rolloutId}`)).body).toEqual({ causes: [], devices: 0 });
  await flock.answer('a', null);
  await flock.answer('b', { code: 'health_check_failed', detail: 'second' });
  const causes = await eventually('one failed again', async () => {
    const { body } = await api('GET', `/attention/causes?rollout=${rolloutId}`);
    return body.devices === 1 ? body.causes : undefined;
  });
  expect(causes).toMatchObject([{ count: 1, firstDevice: 'b', detail: 'second' }]);
}, 300_000);

test('what waits for a person is listed, the most urgent first, with what may be done about it', async () => {
  await using flock = await openFlock({}, SHELF);
  const { api, service, host } = flock;
  const { sql } = service.database;
  const paused = await flock.source('paused', { rolloutPolicy: { waves: [{ count: 1 }], errorBudget: { max: '20%' } } });
  const asked = await flock.source('asked', { rolloutPolicy: { approval: { beforeRollout: true } } });
  const rejected = await flock.source('rejected');
  for (const [id, { id: sourceId }] of [
    ['p', paused],
    ['q', asked],
    ['r', rejected],
  ] as const)
    await flock.device(id, { sourceId });
  await flock.push(paused, { 'app.json': '{"v":1}' });
  const { id: rolloutId } = await flock.rolloutOf(paused.id);
  expect((await api('POST', `/rollouts/${rolloutId}/pause`, { reason: 'the shop is open' })).status).toBe(200);
  await flock.push(asked, { 'app.json': '{"v":1}' });
  const waiting = await flock.rollout(asked, 'awaiting_approval');
  const bad = await flock.push(rejected, { 'app.json': '{"v":1,}' });
  const gone = await flock.source('gone');
  await api('PATCH', `/sources/${gone.id}`, { url: `${new URL(await host.createRepository('other')).origin}/no-such.git` });
  await api('POST', `/sources/${gone.id}/sync`);
  await api('POST', '/devices/r/hold', { reason: 'spare part' });
  await sql`update devices set held_at = now() - interval '2 days' where id = 'r'`;
  await sql`update devices set cloned_since = now() where id = 'q'`;
  const account = { settings: { baseUrl: 'http://127.0.0.1:9/platform' }, credentials: { apiKey: 'a-key-of-a-platform' } };
  const integration = (await api('POST', '/integrations', { type: 'shelf', name: 'shelf', autoSync: false, ...account })).body;
  await sql`update device_services set stale_since = now() - interval '2 hours', error_detail = 'api_key=abcdefgh12345678 refused' where slug = ${integration.id} or id::text = ${integration.id}`;
  const notification = (await api('POST', '/notifications', { name: 'chat', url: 'http://127.0.0.1:9/x', events: ['source.*'] })).body;
  await sql`update notifications set enabled = false, disabled_reason = 'the address does not exist any more' where id = ${notification.id}`;
  await sql`insert into job_failures (queue, key, failures, error, retry_at) values ('source', ${gone.id}, 4, 'boom', now()), ('source', ${newId()}, 4, 'of another', now())`;

  const { body } = await eventually('the source fails', async () => {
    const answer = await api('GET', '/attention');
    return answer.body.items.some(({ kind }: { kind: string }) => kind === 'source_failing') ? answer : undefined;
  });
  const kinds = body.items.map(({ kind }: { kind: string }) => kind);
  expect(kinds).toEqual([
    'rollout_paused',
    'rollout_awaiting_approval',
    'revision_rejected',
    'source_failing',
    'job_failing',
    'device_cloned',
    'integration_stale',
    'notification_failing',
    'device_held',
  ]);
  expect(body.items).toMatchObject([
    {
      title: expect.stringMatching(/^The rollout of [0-9a-f]{8} of "paused" is paused by /),
      cause: 'the shop is open',
      numbers: { succeeded: 0, failed: 0, budget: '20%' },
      links: { rolloutId },
      actions: ['resume', 'abort'],
    },
    { links: { rolloutId: waiting.id }, actions: ['approve', 'reject'] },
    {
      place: { commit: bad.commit, file: 'app.json', line: 1 },
      links: { revisionId: bad.revision },
      title: expect.stringContaining('was rejected'),
    },
    { cause: expect.stringMatching(/^git_/), nextTryAt: expect.any(String), actions: ['sync'] },
    { cause: 'boom', links: { sourceId: gone.id } },
    { firstDevice: 'q' },
    { cause: expect.not.stringContaining('abcdefgh12345678'), actions: ['sync'] },
    { actions: ['enable'] },
    { cause: 'spare part', firstDevice: 'r', actions: ['release'] },
  ]);
}, 300_000);
