import { expect, onTestFinished, test } from 'vitest';
import { openRestPlatform, PAGING_STYLES } from '../../src/demo/vendors/rest/server.ts';
import { serveVendor, type VendorRequest, type VendorResponse } from '../../src/demo/vendors/vendor-server.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { vendorConnector } from '../../src/integration/api.ts';
import { BUILT_IN } from '../../src/integration/registry.ts';
import type { Json } from '../../src/wire/text/json.ts';
import { idsOf, signal, walk } from '../conformance/subject.ts';

const connect = vendorConnector({ guard: addressGuard({ allowPrivate: true }), isolate: (work) => work() });

async function open(answer: (request: VendorRequest) => VendorResponse, list: { [key: string]: Json }) {
  const served = await serveVendor(answer);
  onTestFinished(() => served.close());
  const settings = { baseUrl: served.url, list: { path: '/devices', ...list } };
  return { ...served, platform: BUILT_IN.of('rest').open({ settings, credentials: { token: 'secret-token' }, connect }) };
}

const devices = (...ids: Json[]): Json => ids.map((id) => ({ id }));
const protocol = (detail: string) => expect.objectContaining({ code: 'integration_protocol', message: expect.stringContaining(detail) });

test.each(PAGING_STYLES)('paging by %s shows each of 120 devices once, and asks no page too many', async (paging) => {
  const server = await openRestPlatform({ paging });
  onTestFinished(() => server.close());
  const ids = Array.from({ length: 120 }, (_, n) => server.addDevice({ name: `d${n}` }));
  const platform = BUILT_IN.of('rest').open({ settings: server.settings, credentials: server.credentials, connect });
  expect(idsOf(await walk(platform))).toEqual(ids);
  expect(server.requests).toHaveLength(paging === 'none' ? 1 : 3);
});

test('pages that begin with 0 and have no total end with an empty one', async () => {
  const pages = [devices('a', 'b'), devices('c')];
  const { platform, requests } = await open(({ query }) => ({ status: 200, body: pages[Number(query.get('p'))] ?? [] }), {
    paging: { kind: 'page', parameter: 'p', first: 0, sizeParameter: 'n', size: 2 },
  });
  expect(idsOf(await walk(platform))).toEqual(['a', 'b', 'c']);
  expect(requests.map(({ query }) => query.toString())).toEqual(['n=2&p=0', 'n=2&p=1', 'n=2&p=2']);
});

test('the body may name the address of the next page, whole or as a path', async () => {
  const next: Record<string, string | null> = { '': '/devices?at=2', '2': '?at=3', '3': null };
  const { platform } = await open(
    ({ query }) => {
      const at = query.get('at') ?? '';
      return { status: 200, body: { results: devices(`d${at}`), next: next[at] ?? null } };
    },
    { items: '$.results[*]', paging: { kind: 'link', next: '$.next' } },
  );
  expect(idsOf(await walk(platform))).toEqual(['d', 'd2', 'd3']);
});

test.each<[string, string]>([
  ['<https://evil.example/devices>; rel="next"', 'integration_redirect'],
  ['</devices>; rel="prev", </devices?p=2>; title="a, b"; rel="last next"', 'integration_protocol'],
])('the link %s ends with %s', async (link, code) => {
  const { platform, requests } = await open(() => ({ status: 200, headers: { link }, body: devices('a') }), { paging: { kind: 'link' } });
  await expect(walk(platform)).rejects.toMatchObject({ code });
  expect(requests.length).toBeLessThan(4);
  expect(requests.slice(1).map(({ query }) => query.get('p'))).toEqual(code === 'integration_protocol' ? ['2'] : []);
});

test.each<[string, { [key: string]: Json }, (request: VendorRequest) => Json]>([
  ['ignores the page', { paging: { kind: 'page' } }, () => ({ items: devices('a', 'b') })],
  ['ignores the offset', { paging: { kind: 'offset' } }, () => ({ items: devices('a', 'b') })],
  ['names the same cursor', { paging: { kind: 'cursor', next: '$.next' } }, () => ({ items: devices('a'), next: 'x' })],
  [
    'goes round in a circle of three',
    { paging: { kind: 'cursor', next: '$.next' } },
    ({ query }) => {
      const at = Number(query.get('cursor') ?? 0);
      return { items: devices(`d${at}`), next: String((at + 1) % 3) };
    },
  ],
])('a list that %s ends with a clear error', async (_, more, body) => {
  const { platform, requests } = await open((request) => ({ status: 200, body: body(request) }), { items: '$.items[*]', ...more });
  await expect(walk(platform)).rejects.toEqual(protocol('the platform shows the same page again'));
  expect(requests.length).toBeLessThan(12);
});

test.each<Json>([null, true, '', {}, ['a'], 2 ** 53, 1.5, 'x'.repeat(501)])(
  'an item with the id %j is counted in the error',
  async (id) => {
    const { platform } = await open(() => ({ status: 200, body: devices('good', id) }), {});
    await expect(platform.list!(null, signal)).rejects.toEqual(protocol('1 of 2 items have no id at "$.id"'));
  },
);

test('one list of 150,000 devices is read', async () => {
  const body = { a: Array.from({ length: 150_000 }, (_, id) => ({ id })) };
  const { platform } = await open(() => ({ status: 200, body }), { items: '$.a[*]' });
  expect((await platform.list!(null, signal)).devices).toHaveLength(150_000);
});

test('an answer that is nested too deeply or is too large is refused as such', async () => {
  const deep = await open(() => ({ status: 200, body: `${'['.repeat(100)}${']'.repeat(100)}` }), { items: '$[*]' });
  await expect(deep.platform.list!(null, signal)).rejects.toEqual(protocol('nested more than 64 levels deep'));
  const large = await open(() => ({ status: 200, headers: { 'content-length': '99999999' }, body: [] }), {});
  await expect(large.platform.list!(null, signal)).rejects.toMatchObject({ code: 'integration_too_large' });
});

test.each<Json>([{ error: 'maintenance' }, { items: null }, { items: 'none' }, 'null'])(
  'the answer %j is no empty list, so that it archives no device',
  async (body) => {
    const { platform } = await open(() => ({ status: 200, body }), { items: '$.items[*]' });
    await expect(platform.list!(null, signal)).rejects.toEqual(protocol('no list is at "$.items" of the answer'));
  },
);

test('an empty list is one, and so is an answer without a list behind the last page', async () => {
  const empty = await open(() => ({ status: 200, body: { items: [] } }), { items: '$.items[*]' });
  expect((await empty.platform.list!(null, signal)).devices).toEqual([]);
  const pages: Record<string, Json> = { 1: { items: devices('a') }, 2: {} };
  const omits = await open(({ query }) => ({ status: 200, body: pages[query.get('page') ?? ''] }), {
    items: '$.items[*]',
    paging: { kind: 'page' },
  });
  expect(idsOf(await walk(omits.platform))).toEqual(['a']);
});

test('an answer may begin with a byte order mark', async () => {
  const { platform } = await open(() => ({ status: 200, body: '\ufeff[{"id":"a"}]' }), {});
  expect(idsOf(await walk(platform))).toEqual(['a']);
});
