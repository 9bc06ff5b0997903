import { readFile } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import { openRestPlatform } from '../../src/demo/vendors/rest/server.ts';
import { serveVendor, type VendorRequest, type VendorResponse } from '../../src/demo/vendors/vendor-server.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { vendorConnector } from '../../src/integration/api.ts';
import type { Platform } from '../../src/integration/provider.ts';
import { BUILT_IN } from '../../src/integration/registry.ts';
import { checkAccount } from '../../src/integration/settings/account.ts';
import type { Json } from '../../src/wire/text/json.ts';
import { configuration, idsOf, signal, targetOf, walk } from '../conformance/subject.ts';

type Settings = { [key: string]: Json };
const connect = vendorConnector({ guard: addressGuard({ allowPrivate: true }), isolate: (work) => work() });
const ok = (body: Json | string): VendorResponse => ({ status: 200, body });

/** A platform that answers as the test says. */
async function open(
  answer: (request: VendorRequest) => VendorResponse,
  settings: Settings,
  credentials: Settings = { token: 'secret-token' },
) {
  const served = await serveVendor(answer);
  onTestFinished(() => served.close());
  const account = checkAccount(BUILT_IN.of('rest'), { settings: { baseUrl: `${served.url}/api`, ...settings }, credentials });
  return { ...served, platform: BUILT_IN.of('rest').open({ ...account, connect }) };
}

const list = (more: Settings = {}): Settings => ({ list: { path: '/devices', ...more } });
const firstPage = (platform: Platform) => platform.list!(null, signal);

test.each<[string, Settings, Settings, (request: VendorRequest) => unknown, unknown]>([
  ['bearer', {}, { token: 'abc-123' }, ({ headers }) => headers.authorization, 'Bearer abc-123'],
  ['header', { name: 'X-Api-Key' }, { token: 'abc-123' }, ({ headers }) => headers['x-api-key'], 'abc-123'],
  ['basic', {}, { user: 'ann', password: 'pa:ss' }, ({ headers }) => headers.authorization, 'Basic YW5uOnBhOnNz'],
  ['query', { name: 'key' }, { token: 'a&b' }, ({ query }) => query.get('key'), 'a&b'],
  ['none', {}, {}, ({ headers }) => headers.authorization, undefined],
])('auth "%s" sends the credentials where the platform reads them', async (kind, more, credentials, sent, expected) => {
  const { platform, requests } = await open(() => ok([]), { ...list(), auth: { kind, ...more } }, credentials);
  await firstPage(platform);
  expect(requests.map(sent)).toEqual([expected]);
});

test('auth without its credential is an error that names it', async () => {
  await expect(open(() => ok([]), { auth: { kind: 'basic' } }, { user: 'ann' })).rejects.toThrow(
    'auth "basic" needs the credential "password"',
  );
});

test('paths take a device apart: texts, numbers as ids, values of connectivity, times in three units', async () => {
  const item = {
    meta: { uid: 42 },
    tag: { label: 'Till' },
    mac: ['aa', 'bb', 7],
    link: 'UP',
    at: 1_700_000_000,
    on: '1700000000000',
    ch: '2026-01-02T03:04:05Z',
  };
  const device = {
    id: '$.meta.uid',
    name: '$.tag.label',
    identities: [{ kind: 'hardware', path: '$.mac[*]' }],
    connectivity: { path: '$.link', online: ['UP'], offline: ['DOWN'] },
    lastSeen: { path: '$.at', unit: 's' },
    updated: { path: '$.ch' },
    state: '$.tag',
    fields: { on: { path: '$.on' }, absent: { path: '$.absent' } },
  };
  const { platform } = await open(() => ok([item]), { ...list(), device });
  expect((await firstPage(platform)).devices).toEqual([
    {
      externalId: '42',
      identities: ['aa', 'bb', '7'].map((value) => ({ kind: 'hardware', value })),
      values: { name: 'Till', on: '1700000000000' },
      connectivity: 'online',
      lastSeenAt: new Date(1_700_000_000_000),
      state: { label: 'Till' },
      details: {},
      updatedAt: new Date('2026-01-02T03:04:05Z'),
    },
  ]);
});

test.each<[Json, string, Date | null]>([
  [1_700_000_000_000, 'ms', new Date(1_700_000_000_000)],
  ['1700000000', 's', new Date(1_700_000_000_000)],
  ['', 's', null],
  [0, 's', null],
  [true, 'ms', null],
  [null, 'iso', null],
  ['yesterday', 'iso', null],
  [1e300, 's', null],
])('%j in unit "%s" is the time %s', async (seen, unit, expected) => {
  const { platform } = await open(() => ok([{ id: 'a', seen }]), { ...list(), device: { lastSeen: { path: '$.seen', unit } } });
  expect((await firstPage(platform)).devices[0]?.lastSeenAt).toEqual(expected);
});

test('a test shows devices, and names each path that found nothing', async () => {
  const device = {
    name: '$.title',
    identities: [{ kind: 'certificate', path: '$.fingerprint' }],
    lastSeen: { path: '$.seen', unit: 's' },
    fields: { labels: { path: '$.labels', kind: 'set' }, zone: { path: '$.zone' } },
  };
  const { platform } = await open(
    () =>
      ok({
        data: [
          { id: 'a', labels: [] },
          { id: 'b', zone: 1 },
        ],
      }),
    {
      ...list({ items: '$.data[*]', total: '$.count' }),
      device,
    },
  );
  const { sample, gaps } = await platform.test(signal);
  expect(idsOf(sample)).toEqual(['a', 'b']);
  expect(gaps).toEqual([
    'list.total: "$.count" found nothing',
    'device.name: "$.title" found nothing',
    'device.lastSeen: "$.seen" found nothing',
    'device.identities.0: "$.fingerprint" found nothing',
  ]);
  const wrong = await open(() => ok({ data: [{ id: 'a' }] }), list({ items: '$.items[*]' }));
  expect(await wrong.platform.test(signal)).toMatchObject({ sample: [], gaps: ['list.items: "$.items[*]" found no devices'] });
});

test('changes are put at their pointers, and fields without one are refused before any request', async () => {
  const device = { namePointer: '/info/name', fields: { zone: { path: '$.zone', pointer: '/info/a~1b' }, fixed: { path: '$.fixed' } } };
  const settings = { device, read: { path: '/devices/{id}' }, update: { path: '/devices/{id}', method: 'PUT' } };
  const { platform, requests } = await open(() => ok({ id: 'a/b', name: 'n' }), settings);
  await platform.update!('a/b', { name: 'n', zone: 3 }, signal);
  expect(requests[0]).toMatchObject({ method: 'PUT', path: '/api/devices/a/b', body: { info: { name: 'n', 'a/b': 3 } } });
  await expect(platform.update!('a', { fixed: 1 }, signal)).rejects.toMatchObject({ code: 'integration_unsupported' });
  expect(requests).toHaveLength(2);
});

test.each(['.', '..', ''])('the id "%s" is refused, as it would name another call', async (id) => {
  const { platform, requests } = await open(() => ok({}), { delete: { path: '/devices/{id}' } });
  await expect(platform.delete!(id, signal)).rejects.toMatchObject({ code: 'integration_rejected' });
  expect(requests).toEqual([]);
});

test('a command with a reference is followed to its outcome', async () => {
  let status = 'queued';
  const { platform, requests } = await open(({ method }) => ok(method === 'POST' ? { job: { id: 9 } } : { status }), {
    command: {
      ...{ path: '/devices/{id}/run', typePointer: '/do', payloadPointer: '/with', reference: '$.job.id' },
      outcome: { path: '/jobs/{reference}', status: '$.status', completed: ['done'], failed: ['failed'] },
    },
  });
  const command = { id: 'c', type: 'restart', payload: { soon: true }, expiresAt: new Date() };
  expect(await platform.execute!(targetOf('a'), command, signal)).toMatchObject({ state: 'sent', reference: '9' });
  expect(requests[0]).toMatchObject({ path: '/api/devices/a/run', body: { do: 'restart', with: { soon: true } } });
  expect(await platform.outcome!(targetOf('a'), '9', signal)).toMatchObject({ state: 'sent' });
  status = 'failed';
  expect(await platform.outcome!(targetOf('a'), '9', signal)).toMatchObject({ state: 'failed' });
  status = 'done';
  expect(await platform.outcome!(targetOf('a'), '9', signal)).toMatchObject({ state: 'completed' });
});

test('without a call that shows the configuration it is applied and unverified, and cannot be put back', async () => {
  const { platform } = await open(() => ok({}), { configuration: { write: { path: '/devices/{id}/config' } } });
  const push = platform.push!;
  const prepared = await push.prepare(targetOf('a'), configuration({ rate: 1 }), signal);
  const receipt = await push.apply(targetOf('a'), prepared, 't', signal);
  expect(await push.verify(targetOf('a'), prepared, receipt, 't', signal)).toMatchObject({ is: 'unverified' });
  await expect(push.cancel(targetOf('a'), prepared, receipt, signal)).rejects.toMatchObject({ code: 'integration_unsupported' });
});

test('a whole bundle is sent at its place, and proved by its digest', async () => {
  let held: Json = null;
  const { platform, requests } = await open(
    ({ method, body }) => {
      if (method === 'PUT') held = (body as { spec: { digest: string } }).spec.digest;
      return ok({ digest: held });
    },
    { configuration: { sends: 'bundle', pointer: '/spec', write: { path: '/d/{id}' }, read: { path: '/d/{id}' } } },
  );
  const push = platform.push!;
  const files = [{ path: 'a.txt', size: 2, sha256: 'x' }];
  const wanted = { digest: 'sha256:1', document: undefined, files, readFile: async () => Buffer.from('hi') };
  const prepared = await push.prepare(targetOf('a'), wanted, signal);
  expect(prepared).toMatchObject({ previous: { digest: null }, isUnchanged: false });
  const receipt = await push.apply(targetOf('a'), prepared, 't', signal);
  expect(requests.at(-1)?.body).toEqual({ spec: { digest: 'sha256:1', files: [{ path: 'a.txt', content: 'aGk=' }] } });
  expect(await push.verify(targetOf('a'), prepared, receipt, 't', signal)).toEqual({ is: 'verified' });
  expect(await push.prepare(targetOf('a'), wanted, signal)).toMatchObject({ isUnchanged: true });
  await expect(push.cancel(targetOf('a'), prepared, receipt, signal)).rejects.toMatchObject({ code: 'integration_unsupported' });
  const large = { ...wanted, files: [{ path: 'a.bin', size: 5_000_000, sha256: 'x' }] };
  await expect(push.prepare(targetOf('a'), large, signal)).rejects.toThrow('its files have 5000000 bytes');
});

test.each<[string, Settings, string]>([
  ['a path that is none', { device: { id: 'id' } }, '/settings/device/id must be a JSONPath'],
  [
    'a regular expression',
    { list: { path: '/d', items: '$[?match(@.a, "(a+)+")]' } },
    '/settings/list/items must not use match() or search()',
  ],
  ['lists that multiply', { device: { id: '$[0,0][0,0][0,0]' } }, '/settings/device/id must have one list of selectors'],
  ['a descent', { device: { id: '$..a' } }, '/settings/device/id must not use ".."'],
  ['the whole answer again for each item', { device: { id: '$[?$.a[?@.b]]' } }, '/settings/device/id must use "$" at the beginning only'],
  ['a call without the id', { read: { path: '/devices' } }, '/settings/read/path must contain "{id}"'],
  ['a pointer that is none', { device: { namePointer: 'name' } }, '/settings/device/namePointer must be a JSON Pointer'],
  [
    'places that overwrite each other',
    { device: { namePointer: '/a', fields: { b: { path: '$.b', pointer: '/a/b' } } } },
    '/settings/device/fields/b/pointer must not lie at or below "/a"',
  ],
  ['a change that nobody reads back', { update: { path: '/d/{id}' } }, '/settings/update needs "read"'],
  [
    'an outcome without a reference',
    { command: { path: '/d/{id}', outcome: { path: '/j', status: '$', completed: [], failed: [] } } },
    '/settings/command/outcome needs "reference"',
  ],
  [
    'a header that is none',
    { hook: { proof: { kind: 'secret', header: 'a b' } } },
    '/settings/hook/proof/header must be the name of a header',
  ],
  ['a misspelt name', { lists: {} }, '/settings'],
  ['another scheme', { baseUrl: 'ftp://h' }, '/settings/baseUrl'],
])('settings with %s are refused at their place', (_, settings, message) => {
  const given = { settings: { baseUrl: 'https://p.example', ...settings }, credentials: {} };
  expect(() => checkAccount(BUILT_IN.of('rest'), given)).toThrow(message);
});

test.each(['$.data[*]', "$['a,b','c..d','match(']", '$[?@.a && @.b != 1]', '$[?length(@.id) > 0]', '$[0:9]'])(
  'the path %s is taken',
  (items) => {
    const settings = { baseUrl: 'https://p.example', list: { path: '/d', items } };
    expect(checkAccount(BUILT_IN.of('rest'), { settings, credentials: {} }).settings).toMatchObject({ list: { items } });
  },
);

test('the worked examples of the page are valid settings', async () => {
  const page = await readFile(new URL('../../docs/integrations-rest.md', import.meta.url), 'utf8');
  const examples = [...page.matchAll(/^```json\n(.*?)^```$/gms)].map(([, text = '']) => JSON.parse(text) as Settings);
  expect(examples).toHaveLength(2);
  for (const settings of examples)
    expect(checkAccount(BUILT_IN.of('rest'), { settings, credentials: {} }).settings).toMatchObject(settings);
});

test('the played platform names a wrong token and shows no credentials', async () => {
  const server = await openRestPlatform();
  onTestFinished(() => server.close());
  const platform = BUILT_IN.of('rest').open({ settings: server.settings, credentials: { token: 'wrong-token-0123' }, connect });
  await expect(platform.test(signal)).rejects.toMatchObject({ code: 'integration_unauthorized' });
  expect((await walk(BUILT_IN.of('rest').open({ settings: server.settings, credentials: server.credentials, connect }))).length).toBe(0);
});
