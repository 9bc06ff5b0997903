import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../cli/server.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { ADMIN_TOKEN, type Api, eventually, openService, type TestService } from '../support/service.ts';
import { folder } from './support.ts';

let service: TestService;
let host: TestGitHost;
let api: Api;

beforeAll(async () => {
  [service, host] = await Promise.all([openService({ GIT_WORKERS: '2' }), openGitHost()]);
  api = service.api;
});
afterAll(async () => {
  await service.close();
  await host.close();
});

const FLEET = { 'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: ["devices/*"]\n' };
const IDS = ['a', 'b', 'c'];

let made = 0;

/** A fleet of three devices, all with the first commit as their desired state. */
async function follow(config: unknown = { vlan: 6 }) {
  made += 1;
  const name = `plan-${made}`;
  const url = await host.createRepository(name);
  const first = await host.commit(name, { ...FLEET, ...Object.assign({}, ...IDS.map((id) => folder(config, `devices/${id}/`))) });
  const source = (await api('POST', '/sources', { name, url, layout: 'fleet' })).body;
  for (const id of IDS) await api('POST', '/devices', { id: `${name}-${id}`, sourceId: source.id, path: `devices/${id}` });
  await eventually('the devices are text', async () => {
    const { items } = (await api('GET', `/devices?source=${source.id}`)).body;
    return items.every((device: { desired: { bundle: string } | null }) => device.desired?.bundle);
  });
  return {
    name,
    id: source.id as string,
    first,
    commit: async (files: Record<string, string | null>, branch: string) => {
      const before = await host.commit(
        name,
        { ...FLEET, ...Object.assign({}, ...IDS.map((id) => folder(config, `devices/${id}/`))) },
        { branch },
      );
      return Object.keys(files).length === 0 ? before : host.commit(name, files, { branch });
    },
    plan: (ref: string, headers: Record<string, string> = {}) =>
      api('POST', `/sources/${source.id}/plan?ref=${encodeURIComponent(ref)}`, undefined, headers),
    raw: (query: string, headers: Record<string, string> = {}) =>
      fetch(`${service.url}/api/v1/sources/${source.id}/plan?${query}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${ADMIN_TOKEN}`, ...headers },
      }),
  };
}

const stored = async () =>
  (
    await service.database
      .sql`select (select count(*) from bundles) as bundles, (select count(*) from revisions) as revisions, (select count(*) from rollouts) as rollouts`
  )[0];

test('lists the devices that change and each difference once, and stores nothing', async () => {
  const fleet = await follow();
  const changed = Object.fromEntries(['a', 'b'].map((id) => [`devices/${id}/app.json`, JSON.stringify({ vlan: 7 }, null, 2)]));
  const commit = await fleet.commit({ ...changed, ...folder({ vlan: 9 }, 'devices/d/') }, 'topic');
  const before = await stored();
  for (const ref of ['topic', 'refs/heads/topic', commit]) {
    const { status, body } = await fleet.plan(ref);
    expect(status, JSON.stringify(body)).toBe(200);
    expect(body).toMatchObject({ commit, base: fleet.first, verdict: 'valid', errors: [], blockers: [], moreDiffs: 0 });
    expect(body.summary).toEqual({ devices: 3, changed: 2, blocked: 0, invalid: 0, unchanged: 1, folders: 3 });
    expect(
      body.devices.map((device: { id: string; change: string; diff: number | null; wave: number | null }) => [
        device.id,
        device.change,
        device.diff,
        device.wave,
      ]),
    ).toEqual([
      [`${fleet.name}-a`, 'changed', 0, 0],
      [`${fleet.name}-b`, 'changed', 0, 0],
      [`${fleet.name}-c`, 'unchanged', null, null],
    ]);
    expect(body.diffs).toMatchObject([{ devices: 2, files: [{ path: 'app.json', change: 'changed' }] }]);
    expect(body.diffs[0].files[0].patch).toContain('+  "vlan": 7');
    expect(body.waves).toEqual([{ wave: 0, name: 'rest', devices: 2, quarantined: 0, approval: false, bakeSeconds: 0, stop: null }]);
  }
  expect(await stored()).toEqual(before);
});

test('the current head changes nothing', async () => {
  const fleet = await follow();
  expect((await fleet.plan('main')).body).toMatchObject({ commit: fleet.first, verdict: 'valid', summary: { changed: 0 }, diffs: [] });
});

test('an invalid folder blocks its device, and a device of a removed folder keeps its bundle', async () => {
  const fleet = await follow();
  await fleet.commit({ 'devices/a/app.json': '{"vlan": 5000}', 'devices/b': null, 'devices/c/app.json': '{"vlan": 8}' }, 'topic');
  const { body } = await fleet.plan('topic');
  expect(body.verdict).toBe('partial');
  expect(body.errors).toMatchObject([{ file: 'devices/a/app.json', pointer: '/vlan', line: 1, actual: 5000 }]);
  expect(body.devices).toMatchObject([
    { change: 'unchanged', verdict: 'invalid', blockers: ['validation'], errors: [{ pointer: '/vlan' }] },
    { change: 'removed', verdict: 'missing', blockers: [] },
    { change: 'changed', verdict: 'valid', wave: 0, diff: 0 },
  ]);
});

test('a commit with an error in fleet.yaml changes no device', async () => {
  const fleet = await follow();
  await fleet.commit({ 'fleet.yaml': 'kind: [' }, 'topic');
  const { body } = await fleet.plan('topic');
  expect(body).toMatchObject({ verdict: 'invalid', summary: { changed: 0, invalid: 3 }, diffs: [] });
  expect(body.errors[0].file).toBe('fleet.yaml');
});

test('no secret is shown in any format, even if the commit removes its mark', async () => {
  const fleet = await follow({ vlan: 6, code: 'kestrel-41' });
  const unmarked = JSON.stringify({ type: 'object', properties: { code: { type: 'string', maxLength: 3 } } });
  await fleet.commit(
    { 'devices/a/app.json': '{"vlan": 7, "code": "osprey-98", "note": "was kestrel-41"}', 'devices/b/schema.json': unmarked },
    'topic',
  );
  for (const format of ['json', 'text', 'markdown']) {
    const text = await (await fleet.raw(`ref=topic&format=${format}`)).text();
    expect(text).toContain('vlan');
    expect(text).toContain('devices/b/app.json');
    expect(text).not.toMatch(/kestrel|osprey/);
  }
});

test('in a fleet with layers, a change of one layer reaches the devices with its label', async () => {
  const layered = {
    'fleet.yaml':
      'apiVersion: bellwether/v1\nkind: Fleet\ndevices: ["devices/*"]\nlayers:\n  labels:\n    - { match: { ring: canary }, from: layers/canary }\n',
    'layers/canary/app.json': '{"level": 1}',
    ...Object.fromEntries(IDS.map((id) => [`devices/${id}/app.json`, `{"id": "${id}"}`])),
    ...Object.fromEntries(IDS.map((id) => [`devices/${id}/own.txt`, id])),
  };
  const url = await host.createRepository('layered');
  const head = await host.commit('layered', layered);
  const { id } = (await api('POST', '/sources', { name: 'layered', url, layout: 'fleet' })).body;
  for (const name of IDS)
    await api('POST', '/devices', {
      id: `layered-${name}`,
      sourceId: id,
      path: `devices/${name}`,
      labels: name === 'c' ? {} : { ring: 'canary' },
    });
  await eventually('the devices are text', async () => {
    const { items } = (await api('GET', `/devices?source=${id}`)).body;
    return items.every((device: { desired: { bundle: string } | null }) => device.desired?.bundle);
  });
  await host.commit('layered', layered, { branch: 'topic' });
  await host.commit('layered', { 'layers/canary/app.json': '{"level": 2}' }, { branch: 'topic' });
  await eventually('the devices are evaluated with their labels', async () => {
    const { body } = await api('POST', `/sources/${id}/plan`);
    return body.commit === head && body.summary.changed === 0;
  });
  const { body } = await api('POST', `/sources/${id}/plan?ref=topic`);
  expect(body.devices.map((device: { change: string }) => device.change)).toEqual(['changed', 'changed', 'unchanged']);
  expect(body.diffs).toHaveLength(2);
  for (const { files } of body.diffs) expect(files[0].patch).toContain('level');
});

test('has the format that the request asks for', async () => {
  const fleet = await follow();
  await fleet.commit({ 'devices/a/app.json': '{"vlan": 7}' }, 'topic');
  const of = async (query: string, accept?: string) => {
    const response = await fleet.raw(query, accept === undefined ? {} : { accept });
    return [response.headers.get('content-type'), (await response.text()).slice(0, 4)];
  };
  const [markdown, text, json] = [
    ['text/markdown; charset=utf-8', '### '],
    ['text/plain; charset=utf-8', 'Bell'],
    ['application/json', '{"so'],
  ];
  expect(await of('ref=topic&format=markdown')).toEqual(markdown);
  expect(await of('ref=topic', 'text/markdown, application/json;q=0.5')).toEqual(markdown);
  expect(await of('ref=topic', 'text/plain')).toEqual(text);
  expect(await of('ref=topic', '*/*')).toEqual(json);
  expect(await of('ref=topic&format=json', 'text/plain')).toEqual(json);
});

describe('is refused', () => {
  test('for missing refs, and for callers of another organization as if the source did not exist', async () => {
    const fleet = await follow();
    expect(await fleet.plan('nowhere')).toMatchObject({ status: 404, body: { code: 'ref_missing' } });
    expect(await fleet.plan('f'.repeat(40))).toMatchObject({ status: 404, body: { code: 'commit_missing' } });
    expect(await fleet.plan('../x')).toMatchObject({ status: 400, body: { code: 'invalid_ref' } });
    const { token } = (await api('POST', '/tokens', { name: 'reader', role: 'viewer' })).body;
    expect((await service.apiAs(token)('POST', `/sources/${fleet.id}/plan?ref=main`)).status).toBe(200);
    expect((await api('POST', `/sources/${'0'.repeat(8)}-0000-7000-8000-000000000000/plan?ref=main`)).status).toBe(404);
  });

  test('when too many plans wait', async () => {
    const fleet = await follow();
    const answers = await Promise.all(Array.from({ length: 14 }, () => fleet.plan('main')));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 429]));
    expect(answers.find(({ status }) => status === 429)?.body.code).toBe('preview_busy');
  });
});

test('the command line prints the plan, and exits with 1 if the ref is invalid', async () => {
  const fleet = await follow();
  await fleet.commit({ 'devices/a/app.json': '{"vlan": 7}' }, 'good');
  await fleet.commit({ 'devices/a/app.json': '{"vlan": 5000}' }, 'bad');
  const env = { BELLWETHER_SERVER: service.url, BELLWETHER_TOKEN: ADMIN_TOKEN };
  const plan = (...args: string[]) => run(['plan', fleet.id, ...args], env);
  const good = await plan('--ref', 'good');
  expect(good).toMatchObject({ code: 0, err: '' });
  expect(good.out).toContain('1 of 3 devices change.');
  expect((await plan('--ref', 'good', '--format', 'markdown')).out).toMatch(/^### Bellwether plan: valid\n/);
  expect(JSON.parse((await plan('--ref', 'good', '--format', 'json')).out)).toMatchObject({ verdict: 'valid' });
  const bad = await plan('--ref', 'bad');
  expect(bad.code).toBe(1);
  expect(bad.out).toMatch(/- devices\/a\/app\.json:1\b.*\/vlan/);
  expect((await plan('--ref', 'nowhere')).code).toBe(1);
  expect((await plan()).code).toBe(2);
});
