import { afterEach, expect, test } from 'vitest';
import { type Answer, openServer, run, type Seen, TOKEN } from './server.ts';

let server: Awaited<ReturnType<typeof openServer>> | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function bellwether(args: string[], handle: (seen: Seen) => Answer = () => ({ body: {} })) {
  await server?.close();
  server = await openServer(handle);
  return run(args, { BELLWETHER_SERVER: server.url, BELLWETHER_TOKEN: TOKEN });
}

const device = {
  id: 'terminal-7',
  name: 'Till 7',
  syncStatus: 'in_sync',
  syncSince: '2026-03-01T11:57:00Z',
  connectivity: 'online',
  lastSeenAt: '2026-03-01T11:59:30Z',
  type: 'pos',
  error: null,
};

test('devices list shows a table, filters by the API’s names, and gives JSON to programs', async () => {
  const answer = () => ({ body: { items: [device], nextCursor: null } });
  const shown = await bellwether(['devices', 'list', '--status', 'in_sync', '--label', 'zone=eu', '-q', 'till'], answer);
  expect(shown).toMatchObject({ code: 0, err: '' });
  expect(shown.out).toBe(
    'ID          NAME    STATUS   SINCE      CONNECTIVITY  LAST SEEN  TYPE  ERROR\nterminal-7  Till 7  in_sync  3 min ago  online        30 s ago   pos   -\n',
  );
  expect(server!.seen[0]).toMatchObject({
    method: 'GET',
    path: '/devices',
    query: { status: 'in_sync', label: 'zone=eu', q: 'till' },
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  const json = await bellwether(['devices', 'list', '--json'], answer);
  expect(JSON.parse(json.out)).toEqual([device]);
});

test('each command calls its route', async () => {
  const routes: [string, string, unknown?][] = [
    ['devices get t7', 'GET /devices/t7'],
    ['devices status t7', 'GET /devices/t7/status'],
    ['devices why t7', 'GET /devices/t7/why'],
    ['devices preview t7 --ref main', 'GET /devices/t7/preview'],
    ['devices logs t7', 'GET /devices/t7/logs'],
    ['devices backups t7', 'GET /devices/t7/backups'],
    ['devices deployments t7', 'GET /devices/t7/deployments'],
    [
      'devices register t7 --name N --type pos --site s --source r --path p --label a=1 --label b=x=y',
      'POST /devices',
      { id: 't7', name: 'N', type: 'pos', siteId: 's', sourceId: 'r', path: 'p', labels: { a: '1', b: 'x=y' } },
    ],
    ['devices delete t7', 'DELETE /devices/t7'],
    ['devices start t7', 'POST /devices/t7/start'],
    ['devices stop t7', 'POST /devices/t7/stop'],
    ['devices refresh t7', 'POST /devices/t7/refresh'],
    [`devices rollback t7 --to ${'ab'.repeat(32)}`, 'POST /devices/t7/rollback', { to: { bundle: 'ab'.repeat(32) } }],
    [
      'devices rollback t7 --to 01890000-0000-7000-8000-000000000000',
      'POST /devices/t7/rollback',
      { to: { backup: '01890000-0000-7000-8000-000000000000' } },
    ],
    ['devices hold t7 --reason why --until-newer-revision', 'POST /devices/t7/hold', { reason: 'why', untilNewerRevision: true }],
    ['devices release t7', 'DELETE /devices/t7/hold'],
    ['devices command t7 run_hook --payload {"hook":"x"}', 'POST /devices/t7/commands', { type: 'run_hook', payload: { hook: 'x' } }],
    ['devices rotate-key t7', 'POST /devices/t7/keys'],
    ['devices reenrol t7', 'POST /devices/t7/reenrolment', {}],
    ['devices reenrol t7 --for 600', 'POST /devices/t7/reenrolment', { seconds: 600 }],
    ['devices reenrol t7 --refuse', 'DELETE /devices/t7/reenrolment'],
    ['devices bind t7 --path tills/t7', 'PATCH /devices/t7', { path: 'tills/t7' }],
    ['sources', 'GET /sources'],
    ['sources get s1', 'GET /sources/s1'],
    [
      'sources create --name n --url https://h/r.git --git-token t --poll-interval 30',
      'POST /sources',
      { layout: 'repo', name: 'n', url: 'https://h/r.git', auth: { token: 't' }, pollIntervalSeconds: 30 },
    ],
    [
      'sources update s1 --ref next --webhook-provider gitlab --webhook-secret topsecret',
      'PATCH /sources/s1',
      { ref: 'next', webhook: { provider: 'gitlab', secret: 'topsecret' } },
    ],
    [
      'sources create --name n --url https://h/r.git --forge gitea --forge-api-url https://h/api/v1 --api-token apitoken',
      'POST /sources',
      { layout: 'repo', name: 'n', url: 'https://h/r.git', forge: { kind: 'gitea', apiUrl: 'https://h/api/v1' }, apiToken: 'apitoken' },
    ],
    ['sources webhook s1', 'POST /sources/s1/webhook'],
    ['sources deliveries s1', 'GET /sources/s1/deliveries'],
    ['sources deliveries s1 --redeliver d/1', 'POST /sources/s1/deliveries/d%2F1/redeliver'],
    ['sources delete s1', 'DELETE /sources/s1'],
    ['sources test s1', 'POST /sources/s1/test'],
    ['sources sync s1', 'POST /sources/s1/sync'],
    ['sources revisions s1', 'GET /sources/s1/revisions'],
    ['revisions get r1', 'GET /revisions/r1'],
    ['sites', 'GET /sites'],
    ['sites create Berlin', 'POST /sites', { name: 'Berlin' }],
    ['tokens', 'GET /tokens'],
    ['tokens create ci --role operator', 'POST /tokens', { name: 'ci', role: 'operator' }],
    ['tokens enrol --uses 5 --label a=b', 'POST /enrolment-tokens', { uses: 5, labels: { a: 'b' } }],
    ['tokens enrol --reenrol', 'POST /enrolment-tokens', { reenrol: true }],
    ['devices retry t7', 'POST /devices/t7/retry'],
    ['tokens revoke t1', 'DELETE /tokens/t1'],
    ['login-link', 'POST /session-links', {}],
    ['login-link --role viewer', 'POST /session-links', { role: 'viewer' }],
    ['audit', 'GET /audit'],
    ['events --after 7', 'GET /events'],
  ];
  server = await openServer(({ method, path }) =>
    method === 'GET' && !/\/(t7|s1|r1|status|preview)$/.test(path) ? { body: { items: [], nextCursor: null } } : { body: { id: 'x' } },
  );
  for (const [line, route, body] of routes) {
    server.seen.length = 0;
    const ran = await run(line.split(' '), { BELLWETHER_SERVER: server.url, BELLWETHER_TOKEN: TOKEN });
    expect(ran, line).toMatchObject({ code: 0, err: '' });
    expect(
      server.seen.map((seen) => `${seen.method} ${seen.path}`),
      line,
    ).toEqual([route]);
    if (body !== undefined) expect(server.seen[0]?.body, line).toEqual(body);
  }
});

test('an id cannot lead to another route', async () => {
  await bellwether(['devices', 'delete', 'a/../../sources/1?x#y']);
  expect(server!.seen[0]?.path).toBe('/devices/a%2F..%2F..%2Fsources%2F1%3Fx%23y');
  expect(await bellwether(['devices', 'delete', '..'])).toMatchObject({ code: 2 });
  expect(server!.seen).toEqual([]);
});

test('a webhook that no test delivery proved is shown, and ends with 1', async () => {
  const detail = 'No test delivery was received within 8 s';
  const answer = (verified: boolean) => ({ body: { installed: 'created', verified, detail: verified ? null : detail } });
  expect(await bellwether(['sources', 'webhook', 's1'], () => answer(true))).toMatchObject({ code: 0 });
  const ran = await bellwether(['sources', 'webhook', 's1'], () => answer(false));
  expect(ran).toMatchObject({ code: 1, err: expect.stringContaining(`The webhook of source "s1" is not proven to work: ${detail}`) });
  expect(ran.out).toContain('created');
});

test('a problem is told on stderr with its field errors, and ends with 1', async () => {
  const ran = await bellwether(['devices', 'register', 'X'], () => ({
    status: 400,
    body: {
      code: 'invalid_request',
      detail: 'Cannot accept the request',
      errors: [{ pointer: '/id', detail: 'must be lower case\x1b[2J' }],
    },
  }));
  expect(ran).toEqual({ code: 1, out: '', err: 'Cannot accept the request\n  /id: must be lower case\n' });
});

test('wrong usage ends with 2 before anything is sent', async () => {
  for (const line of [
    'devices nonsense',
    'devices get',
    'devices list --limit 0',
    'devices list --unknown',
    'sources create --name n',
    'devices command t ping --payload [1]',
    'events --after x',
    'sources update s --git-username u',
    'sources update s --forge-api-url https://h/api/v1',
    'sources deliveries s --redeliver ..',
    'devices register t --label x',
    'devices rollback t --to yesterday',
  ]) {
    const ran = await bellwether(line.split(' '));
    expect(ran.code, line).toBe(2);
    expect(ran.err, line).not.toBe('');
    expect(server!.seen, line).toEqual([]);
  }
  const ran = await run(['sites'], { BELLWETHER_SERVER: 'http://127.0.0.1:1' });
  expect(ran).toMatchObject({ code: 2, err: expect.stringContaining('BELLWETHER_TOKEN') });
});

test('help is printed on stdout and ends with 0', async () => {
  expect(await bellwether(['devices', 'rollback', '--help'])).toMatchObject({
    code: 0,
    err: '',
    out: expect.stringContaining('--to <bundle-or-backup>'),
  });
});

test('why prints the chain of blockers, or that there is none', async () => {
  const blockers = [{ code: 'held', detail: 'Held by ann', since: '2026-03-01T10:00:00Z', unblockedBy: 'release' }];
  expect((await bellwether(['devices', 'why', 'a'], () => ({ body: blockers }))).out).toBe(
    'BLOCKER  SINCE    DETAIL       UNBLOCKED BY\nheld     2 h ago  Held by ann  release\n',
  );
  expect((await bellwether(['devices', 'why', 'a'], () => ({ body: { items: [] } }))).out).toBe('nothing: it has converged\n');
});

test('logs end with the newest line', async () => {
  const items = [
    { at: '2026-03-01T11:59:00Z', level: 'warn', message: 'second' },
    { at: '2026-03-01T11:58:00Z', level: 'info', message: 'first' },
  ];
  expect((await bellwether(['devices', 'logs', 'a'], () => ({ body: { items, nextCursor: null } }))).out).toBe(
    '2 min ago   info   first\n1 min ago   warn   second\n',
  );
});

test('a source whose test fails ends with 1, and a revision shows its errors', async () => {
  const failed = await bellwether(['sources', 'test', 's'], () => ({
    body: { ok: false, head: null, error: { code: 'git_unauthorized', detail: 'Cannot read' } },
  }));
  expect(failed).toMatchObject({ code: 1, out: expect.stringContaining('git_unauthorized') });
  const revision = {
    id: 'r',
    commit: 'abc',
    errors: [],
    paths: [{ path: 'devices/a', verdict: 'invalid', bundle: null, errors: [{ message: 'a.json:3 /vlan is 5000, must be <= 4094' }] }],
  };
  expect((await bellwether(['revisions', 'get', 'r'], () => ({ body: revision }))).out).toContain('/vlan is 5000, must be <= 4094');
});

test('deliveries show why they were not taken', async () => {
  const items = [
    {
      deliveryId: 'd-2',
      provider: 'gitlab',
      event: null,
      ref: null,
      commit: null,
      verdict: 'unauthorized',
      detail: 'its token does not match the configured one',
      receivedAt: '2026-03-01T11:59:30Z',
    },
  ];
  expect((await bellwether(['sources', 'deliveries', 's'], () => ({ body: { items, nextCursor: null } }))).out).toBe(
    'ID   VERDICT       EVENT  REF  COMMIT  RECEIVED  DETAIL\nd-2  unauthorized  -      -    -       30 s ago  its token does not match the configured one\n',
  );
});

test('preview shows verdict, errors and diff', async () => {
  const preview = {
    verdict: 'invalid',
    errors: [{ message: 'bad' }],
    diff: [{ path: 'app.json', change: 'modified', patch: '-a\n+b\x1b[2J' }],
  };
  expect((await bellwether(['devices', 'preview', 'a'], () => ({ body: preview }))).out).toBe(
    'verdict  invalid\nerror: bad\nmodified  app.json\n-a\n+b\n',
  );
});

test('preview --provenance lists where each file, value and variable came from', async () => {
  const place = { layer: 'base', file: 'base/app.json' };
  const file = { path: 'app.json', from: [{ ...place, template: false }], values: [{ ...place, pointer: '/ntp', line: 2 }], variables: [] };
  const template = { path: 'net.conf', from: [{ layer: 'device', file: 'd/net.conf.liquid', template: true }], values: [] };
  const provenance = {
    layers: [],
    files: [file, { ...template, variables: [{ layer: 'site b', file: 's/variables.yaml', name: '/dns', line: 3 }] }],
    removed: [{ layer: 'device', file: 'd/motd.removed', path: 'motd' }],
    truncated: true,
  };
  const { out } = await bellwether(['devices', 'preview', 'a', '--provenance'], () => ({
    body: { verdict: 'valid', diff: [], provenance },
  }));
  expect(server?.seen).toMatchObject([{ path: '/devices/a/preview', query: { provenance: '1' } }]);
  expect(out).toBe(`verdict  valid
FILE      WHAT           FROM                LAYER
app.json  file           base/app.json       base
app.json  /ntp           base/app.json:2     base
net.conf  template       d/net.conf.liquid   device
net.conf  variable /dns  s/variables.yaml:3  site b
motd      removed        d/motd.removed      device
not all values and variables are shown
`);
});

test('login-link prints the link alone, and takes no role that does not exist', async () => {
  const url = 'https://fleet.example.com/login#code=bwl_x';
  expect(await bellwether(['login-link'], () => ({ status: 201, body: { url, code: 'bwl_x', role: 'viewer' } }))).toMatchObject({
    code: 0,
    out: `${url}\n`,
    err: '',
  });
  expect((await bellwether(['login-link', '--role', 'root'])).code).toBe(2);
});

test('integrations test warns of settings that have no effect', async () => {
  const answer = { ok: true, account: 'shop', devices: 2, sample: [], gaps: ['device.name: "$.title" found nothing'], error: null };
  const shown = await bellwether(['integrations', 'test', 'rest'], () => ({ body: answer }));
  expect(shown).toMatchObject({ code: 0, err: 'warning: device.name: "$.title" found nothing\n' });
  expect(shown.out).toMatch(/^account +shop$/m);
  expect(shown.out).not.toContain('found nothing');
  const json = await bellwether(['integrations', 'test', 'rest', '--json'], () => ({ body: answer }));
  expect(JSON.parse(json.out)).toEqual(answer);
});
