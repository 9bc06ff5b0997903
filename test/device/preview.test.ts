import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BundleSide, compareBundles, selectFiles } from '../../src/preview/compare-bundles.ts';
import { sha256Hex } from '../../src/wire/bundle.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { type Api, eventually, openService, type TestService } from '../support/service.ts';

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

const SCHEMA = (marks: Record<string, unknown>) =>
  JSON.stringify({ type: 'object', properties: { vlan: { type: 'integer', maximum: 4094 }, ...marks } });
const MANIFEST = `apiVersion: bellwether/v1
kind: DeviceConfig
validate:
  - files: "app.json"
    schema: schema.json
files:
  - from: app.json
  - from: logo.bin
`;

function folder(config: unknown, marks: Record<string, unknown> = {}, prefix = ''): Record<string, string | Buffer> {
  return {
    [`${prefix}bellwether.yaml`]: MANIFEST,
    [`${prefix}schema.json`]: SCHEMA(marks),
    [`${prefix}app.json`]: JSON.stringify(config, null, 2),
    [`${prefix}logo.bin`]: Buffer.from([0, 255, 1, 2]),
  };
}

let count = 0;

/** Creates a repository, its source and a device that follows it. `files` is the first commit. */
async function follow(files: Record<string, string | Buffer>, settings: { layout?: 'repo' | 'fleet'; path?: string } = {}) {
  count += 1;
  const name = `preview-${count}`;
  const url = await host.createRepository(name);
  const first = await host.commit(name, files);
  const source = (await api('POST', '/sources', { name, url, ref: 'main', layout: settings.layout ?? 'repo' })).body;
  const sync = async (commit: string) => {
    await api('POST', `/sources/${source.id}/sync`);
    await eventually('the commit is prepared', async () => (await api('GET', `/sources/${source.id}`)).body.headCommit === commit);
  };
  await sync(first);
  expect(
    (await api('POST', '/devices', { id: name, sourceId: source.id, ...(settings.path === undefined ? {} : { path: settings.path }) }))
      .status,
  ).toBe(201);
  const preview = (ref?: string) => api('GET', `/devices/${name}/preview${ref === undefined ? '' : `?ref=${encodeURIComponent(ref)}`}`);
  const runs = (bundle: string) => service.database.sql`update devices set good_bundle = ${bundle} where id = ${name}`;
  return {
    name,
    url,
    first,
    source,
    sync,
    preview,
    runs,
    commit: (more: Record<string, string | Buffer | null>, branch = 'main') => host.commit(name, more, { branch }),
  };
}

test('without a ref it shows the prepared head: texts with content, binaries without, all added for a device without a bundle', async () => {
  const device = await follow(folder({ vlan: 7 }));
  const { status, body, headers } = await device.preview();
  expect([status, headers.get('content-type')]).toEqual([200, 'application/json']);
  expect(body).toMatchObject({
    commit: device.first,
    ref: 'main',
    path: '',
    verdict: 'valid',
    running: null,
    errors: [],
    truncated: false,
  });
  expect(body.files).toEqual([
    { path: 'app.json', mode: '0644', size: 15, content: 'text', text: '{\n  "vlan": 7\n}' },
    { path: 'logo.bin', mode: '0644', size: 4, content: 'binary', text: null },
  ]);
  expect(
    body.diff.map((change: { path: string; change: string; note: string | null }) => [change.path, change.change, change.note]),
  ).toEqual([
    ['app.json', 'added', null],
    ['logo.bin', 'added', 'binary'],
  ]);
});

test('with a branch, tag or commit it compares that commit with the running bundle, and stores nothing', async () => {
  const device = await follow(folder({ vlan: 7 }));
  const head = (await device.preview()).body;
  await device.runs(head.bundle);
  expect((await device.preview()).body.diff).toEqual([]);
  await device.commit(folder({ vlan: 7 }), 'change');
  const branch = await device.commit({ 'app.json': JSON.stringify({ vlan: 8 }, null, 2) }, 'change');
  await host.tag(device.name, 'v2', branch, 'annotated');
  const count = async () =>
    (
      await service.database
        .sql`select (select count(*) from bundles) as bundles, (select count(*) from revisions) as revisions, (select count(*) from blobs) as blobs`
    )[0];
  const before = await count();
  for (const ref of ['change', 'refs/heads/change', 'v2', branch]) {
    const { status, body } = await device.preview(ref);
    expect(status, JSON.stringify(body)).toBe(200);
    expect(body).toMatchObject({ commit: branch, verdict: 'valid', running: head.bundle });
    expect(body.diff).toHaveLength(1);
    expect(body.diff[0]).toMatchObject({ path: 'app.json', change: 'changed' });
    expect(body.diff[0].patch).toContain('-  "vlan": 7\n\\ No newline'.slice(0, 12));
    expect(body.diff[0].patch).toContain('+  "vlan": 8');
  }
  expect(await count()).toEqual(before);
});

test('a commit that does not validate gives its errors and no files', async () => {
  const device = await follow(folder({ vlan: 7 }));
  await device.commit(folder({ vlan: 5000 }), 'bad');
  const { body } = await device.preview('bad');
  expect(body).toMatchObject({ verdict: 'invalid', bundle: null, files: [], diff: [] });
  expect(body.errors[0]).toMatchObject({ file: 'app.json', pointer: '/vlan', rule: 'maximum', actual: 5000 });
  await device.sync(await device.commit({ 'app.json': '{"vlan": 6000}' }));
  expect((await device.preview()).body.errors[0]).toMatchObject({ pointer: '/vlan', actual: 6000 });
});

test('in a fleet only the device’s own folder is read, also if another one is invalid or the folder does not exist', async () => {
  const fleet = { 'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: ["devices/*"]\n' };
  const device = await follow(
    { ...fleet, ...folder({ vlan: 1 }, {}, 'devices/a/'), ...folder({ vlan: 1 }, {}, 'devices/b/') },
    { layout: 'fleet', path: 'devices/a' },
  );
  await device.runs((await device.preview()).body.bundle);
  const first = await device.commit(
    { ...fleet, ...folder({ vlan: 1 }, {}, 'devices/a/'), ...folder({ vlan: 9999 }, {}, 'devices/b/') },
    'other',
  );
  expect((await device.preview('other')).body).toMatchObject({ commit: first, verdict: 'valid', diff: [], errors: [] });
  await device.commit({ 'devices/a/app.json': '{"vlan": 2}' }, 'other');
  expect((await device.preview('other')).body.diff[0]).toMatchObject({ path: 'app.json', change: 'changed' });
  await device.commit({ 'devices/a': null }, 'other');
  expect((await device.preview('other')).body).toMatchObject({ verdict: 'missing', bundle: null, files: [] });
  await device.commit({ 'fleet.yaml': 'kind: [' }, 'other');
  const broken = (await device.preview('other')).body;
  expect(broken.verdict).toBe('invalid');
  expect(broken.errors[0].file).toBe('fleet.yaml');
});

test('a value that only the old or only the new schema marks secret is shown on neither side', async () => {
  const marks = { code: { type: 'string', 'x-secret': true } };
  for (const [oldMarks, newMarks] of [
    [marks, {}],
    [{}, marks],
  ]) {
    const device = await follow(folder({ vlan: 7, code: 'kestrel-41' }, oldMarks));
    await device.runs((await device.preview()).body.bundle);
    await device.commit(folder({ vlan: 8, code: 'osprey-98', note: 'was kestrel-41' }, newMarks), 'next');
    const { body } = await device.preview('next');
    const shown = JSON.stringify(body);
    expect(body.diff[0].patch).toContain('"vlan": 8');
    expect(shown).not.toContain('kestrel-41');
    expect(shown).not.toContain('osprey-98');
    await device.commit(folder({ vlan: 8, code: 77 }, { code: { type: 'string' } }), 'next');
    expect((await device.preview('next')).body.verdict).toBe('invalid');
  }
});

test('an error does not reveal a value that the schema of the running version marks secret', async () => {
  const device = await follow(folder({ code: 'kestrel-41' }, { code: { type: 'string', writeOnly: true } }));
  await device.runs((await device.preview()).body.bundle);
  await device.commit(folder({ code: 'osprey-98' }, { code: { type: 'string', maxLength: 3 } }), 'next');
  const { body } = await device.preview('next');
  expect(body.errors).toHaveLength(1);
  expect(JSON.stringify(body)).not.toContain('osprey-98');
});

test('a missing device or commit is 404, an invalid ref 400, an error of the host 502, an unbound device 409', async () => {
  const device = await follow(folder({ vlan: 7 }));
  const outcome = async (ref: string) => {
    const { status, body } = await device.preview(ref);
    return [status, body.code];
  };
  expect(await outcome('no-such-branch')).toEqual([404, 'ref_missing']);
  expect(await outcome('0123456789'.repeat(4))).toEqual([404, 'commit_missing']);
  expect(await outcome('a..b')).toEqual([400, 'invalid_ref']);
  expect(await outcome('--upload-pack=x')).toEqual([400, 'invalid_ref']);
  host.fault(device.name, { kind: 'status', status: 500 });
  expect((await outcome('change'))[0]).toBe(502);
  host.clearFault(device.name);
  expect((await api('GET', '/devices/no-such/preview')).status).toBe(404);
  await api('POST', '/devices', { id: 'unbound' });
  expect((await api('GET', '/devices/unbound/preview')).body.code).toBe('not_bound');
});

test('previews of one source at once all get their own answer', async () => {
  const device = await follow(folder({ vlan: 1 }));
  const refs = await Promise.all([2, 3, 4, 5].map((vlan) => device.commit(folder({ vlan }), `b${vlan}`)));
  const answers = await Promise.all([2, 3, 4, 5].map((vlan) => device.preview(`b${vlan}`)));
  expect(answers.map(({ body }) => body.commit)).toEqual(refs);
  expect(answers.map(({ body }) => JSON.parse(body.files[0].text).vlan)).toEqual([2, 3, 4, 5]);
});

test('repository content that resembles a page is answered as JSON that no browser renders as one', async () => {
  const device = await follow({ 'index.html': '<script>alert(1)</script>' });
  const { headers, body } = await device.preview();
  expect(headers.get('content-type')).toMatch(/^application\/json/);
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(body.files[0].text).toBe('<script>alert(1)</script>');
});

/** One side of a comparison, and the bytes of its files. */
function side(files: Record<string, string | Buffer>, secretPointers: Record<string, string[]> = {}) {
  const contents = new Map<string, Uint8Array>();
  const listed = Object.entries(files).map(([path, content]) => {
    const bytes = Buffer.from(content);
    contents.set(sha256Hex(bytes), bytes);
    return { path, mode: '0644', size: bytes.length, sha256: sha256Hex(bytes) };
  });
  const made: BundleSide = {
    manifest: { apiVersion: 'bellwether/v1', kind: 'Bundle', files: listed, apply: { hooks: {}, confirmTimeoutSeconds: 60 } },
    secretPointers,
  };
  return { made, contents };
}

async function compare(next: ReturnType<typeof side>, running: ReturnType<typeof side> | null) {
  const sides = { next: next.made, running: running?.made ?? null, errors: [] };
  const selection = selectFiles(sides.next, sides.running);
  const comparison = await compareBundles(sides, selection, new Map([...next.contents, ...(running?.contents ?? [])]), async () => {});
  return { ...comparison, truncated: selection.truncated };
}

test('at most 200 files are shown, those that change first, and a file of more than 256 kB is listed without its text', async () => {
  const many = Object.fromEntries(Array.from({ length: 250 }, (_, index) => [`f${String(index).padStart(3, '0')}`, 'same']));
  const comparison = await compare(side({ ...many, z: 'new', big: 'x'.repeat(256 * 1024 + 1) }), side({ ...many, z: 'old' }));
  expect(comparison.truncated).toBe(true);
  expect(comparison.files).toHaveLength(200);
  expect(comparison.diff.map(({ path, note }) => [path, note])).toEqual([
    ['big', 'too large to show'],
    ['z', null],
  ]);
  expect(comparison.files.find(({ path }) => path === 'big')).toMatchObject({ content: 'too_large', text: null });
});

test.each([
  ['one word', 'x'.repeat(250_000)],
  ['dashes', '-'.repeat(250_000)],
  ['a word and spaces', `x${' '.repeat(250_000)}`],
  ['colons', `http://${':'.repeat(250_000)}`],
  ['equals signs', 'a='.repeat(100_000)],
])('a hostile line of %s does not hold the service up', async (_name, line) => {
  const files = { 'a.txt': line, 'a.json': JSON.stringify({ value: line }), 'a.yaml': `# ${line}\nvalue: 1\n` };
  expect((await compare(side(files), null)).files).toHaveLength(3);
});

test('the total size of all texts is limited', async () => {
  const comparison = await compare(
    side(Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`f${index}`, `${index}${'x'.repeat(250_000)}`]))),
    null,
  );
  expect(comparison.truncated).toBe(true);
  expect(comparison.files.length).toBeLessThanOrEqual(16);
  expect(comparison.files.length).toBeGreaterThan(10);
});

test('a file in which only a hidden value changed is listed as changed, without a patch', async () => {
  const comparison = await compare(side({ 'a.json': '{"password":"new-value-1"}' }), side({ 'a.json': '{"password":"old-value-1"}' }));
  expect(comparison.diff).toEqual([{ path: 'a.json', change: 'changed', patch: null, note: 'only values that are not shown differ' }]);
});

test('a text file that is marked secret as a whole is shown on neither side', async () => {
  const [next, old] = [side({ 'a.conf': 'join net 4711\n' }, { 'a.conf': [''] }), side({ 'a.conf': 'join net 4712\n' })];
  const comparison = await compare(next, old);
  expect(comparison.diff).toEqual([{ path: 'a.conf', change: 'changed', patch: null, note: 'only values that are not shown differ' }]);
  expect(JSON.stringify(comparison)).not.toMatch(/471[12]/);
});

test('a marked item of a list stays hidden when it moves in the version that does not mark it', async () => {
  const old = side({ 'a.json': '{"users":[{"x":"1234"},{"x":"5678"}]}' }, { 'a.json': ['/users/0/x', '/users/1/x'] });
  const shown = JSON.stringify(await compare(side({ 'a.json': '{"users":[{"x":"0000"},{"x":"1234"},{"x":"5678"}]}' }), old));
  for (const secret of ['1234', '5678', '0000']) expect(shown).not.toContain(secret);
});

test('a secret is hidden everywhere: in another file, another place, a plain text, a removed file', async () => {
  const secret = 'hunter2-hunter2';
  const next = side({ 'a.json': `{"password":"${secret}"}`, 'b.yaml': `motd: "log in with ${secret}"\n`, 'c.txt': `try ${secret}\n` });
  const old = side({ 'd.conf': `x ${secret}\n`, 'b.yaml': 'motd: hello\n' });
  const comparison = await compare(next, old);
  expect(comparison.diff.map(({ path }) => path)).toEqual(['a.json', 'b.yaml', 'c.txt', 'd.conf']);
  expect(JSON.stringify(comparison)).not.toContain(secret);
});

test('no value that the schema of either version marks secret appears in files or diffs', async () => {
  const word = fc.stringMatching(/^[A-Za-z0-9"\\ ]{0,12}$/).map((tail) => `S3cr3t~~${tail}`);
  const version = fc.record({ value: word, marked: fc.boolean(), other: fc.string(), nested: fc.boolean() });
  const build = ({ value, other, nested }: { value: string; other: string; nested: boolean }) =>
    JSON.stringify(nested ? { deep: { code: value }, other } : { code: value, other }, null, 1);
  const pointer = ({ nested }: { nested: boolean }) => (nested ? '/deep/code' : '/code');
  await fc.assert(
    fc.asyncProperty(version, version, async (before, after) => {
      fc.pre(before.marked || after.marked);
      const marks = (one: typeof before): Record<string, string[]> => (one.marked ? { 'a.json': [pointer(one)] } : {});
      const comparison = await compare(side({ 'a.json': build(after) }, marks(after)), side({ 'a.json': build(before) }, marks(before)));
      const shown = [...comparison.files.map(({ text }) => text), ...comparison.diff.map(({ patch }) => patch)].join('\n');
      const hidden = [before, after].filter((one) => one.marked || one.nested === [before, after].find((other) => other !== one)?.nested);
      for (const { value } of hidden) expect(shown).not.toContain(JSON.stringify(value).slice(1, -1));
    }),
    { numRuns: 200 },
  );
});

test('a text with a secret inside shows its rest', async () => {
  const device = await follow(folder({ vlan: 7, src: 'rtsp://viewer:hafenwort77@cam.example:554/dock' }));
  const { files } = (await device.preview()).body;
  expect(JSON.parse(files[0].text)).toEqual({ vlan: 7, src: 'rtsp://viewer:[redacted]@cam.example:554/dock' });
});

test('a text with a secret inside is hidden where the rules of another file do not find the secret', async () => {
  const acl = 'user till >hafenwort77';
  const { files } = await compare(side({ 'a.json': JSON.stringify({ acl }), 'b.txt': `kept as "${acl}"\n` }), null);
  expect(files.map(({ text }) => text)).toEqual(['{"acl":"user till >[redacted]"}', 'kept as "[redacted]"\n']);
});
