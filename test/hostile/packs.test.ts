import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { listRefs, refPrefixes, resolveRef } from '../../src/git/protocol/refs.ts';
import { parseRemote } from '../../src/git/remote.ts';
import { openPreparer, type Preparer } from '../../src/prepare/preparer.ts';
import { git, openGitHost, type TestGitHost } from '../support/git-host.ts';
import {
  commitFleet,
  copyDelta,
  fetchAnswer,
  type HostileRepository,
  hostileRepository,
  insertDelta,
  measurePrepare,
  objectIdOf,
  packObject,
  packOf,
  refDelta,
  taskOf,
} from '../support/hostile.ts';

const MEBIBYTE = 2 ** 20;
/** `git/limits.ts`: about 3 × `maxPackBytes` (128 MiB) at the peak, beside what the program itself takes. */
const CAP_BYTES = 3 * 128 * MEBIBYTE + 200 * MEBIBYTE;
const OWNER = { organizationId: 'org', id: 'source' };
const GOOD = { 'app.json': '{"vlan":1}' };
const GUARD = addressGuard({ allowPrivate: true });

let host: TestGitHost;
let dir: string;

beforeAll(async () => {
  host = await openGitHost();
  dir = await mkdtemp(join(tmpdir(), 'bellwether-hostile-'));
});
afterAll(async () => {
  await host.close();
  await rm(dir, { recursive: true, force: true });
});

/** A repository of one good commit, whose host answers every fetch with these bytes. */
async function lyingHost(name: string, pack: Buffer) {
  const repository = await hostileRepository(host, name);
  const commit = await commitFleet(repository, { good: await repository.tree(GOOD) });
  host.fault(name, {
    kind: 'body',
    method: 'POST',
    body: fetchAnswer(pack),
    headers: { 'content-type': 'application/x-git-upload-pack-result' },
  });
  return { repository, commit };
}

async function prepareMeasured(repository: HostileRepository, commit: string, layout: 'fleet' | 'repo' = 'repo') {
  return measurePrepare(await taskOf(repository.url, commit, join(dir, repository.name), { layout }));
}

/** 30 MiB that say nothing, so that 32 kB on the wire are enough. */
const ZEROS = Buffer.alloc(30 * MEBIBYTE);

/** Deltas of 15 MiB, each on the one before: admitted link by link, yet whoever reads the last one needs them all. */
function chainOfLargeDeltas(links: number): { parts: Buffer[]; lastOid: string } {
  const result = Buffer.alloc(15 * MEBIBYTE);
  const parts = [packObject('blob', result)];
  const delta = insertDelta(result.length, result);
  let lastOid = objectIdOf('blob', result);
  for (let link = 1; link <= links; link++) {
    result[result.length - 1] = link;
    delta[delta.length - 1] = link;
    parts.push(refDelta(lastOid, delta));
    lastOid = objectIdOf('blob', result);
  }
  return { parts, lastOid };
}

const base = Buffer.alloc(0x10000, 'x');
const baseOid = objectIdOf('blob', base);
const packs: [string, () => Buffer, string, RegExp][] = [
  [
    'an object of 400 MB',
    () => packOf([packObject('blob', ZEROS, 400_000_000)]),
    'git_too_large',
    /an object of 400000000 bytes, must be at most 33554432/,
  ],
  ['zeros that are more than their declared size', () => packOf([packObject('blob', ZEROS, 1000)]), 'git_object_invalid', /declared size/],
  [
    'an object with less than its declared size',
    () => packOf([packObject('blob', Buffer.alloc(10), 30 * MEBIBYTE)]),
    'git_object_invalid',
    /declared size/,
  ],
  [
    'two billion bytes in small objects',
    () => packOf(Array<Buffer>(80).fill(packObject('blob', ZEROS))),
    'git_too_large',
    /inflates to more than 2147483648 bytes/,
  ],
  [
    'a delta that gives 400 MB',
    () => packOf([packObject('blob', base), refDelta(baseOid, copyDelta(base.length, 6200))]),
    'git_too_large',
    /an object of 406317000 bytes/,
  ],
  [
    'a hundred deltas that give 30 MB each',
    () => packOf([packObject('blob', base), ...Array<Buffer>(100).fill(refDelta(baseOid, copyDelta(base.length, 480)))]),
    'git_too_large',
    /inflates to more than/,
  ],
  ['a delta of itself', () => packOf([refDelta(baseOid, copyDelta(base.length, 1))]), 'git_object_missing', /the base/],
  [
    'four billion objects',
    () => packOf([packObject('blob', base)], 0xffffffff),
    'git_too_large',
    /4294967295 objects, must be at most 2400000/,
  ],
  ['fewer objects than it declares', () => packOf([packObject('blob', base)], 3), 'git_object_invalid', /breaks off|inflated|unknown type/],
];

describe('a pack', () => {
  test.each(packs)('with %s is refused within the memory that is promised', async (title, build, code, says) => {
    const { repository, commit } = await lyingHost(title.replaceAll(' ', '-'), build());
    const measured = await prepareMeasured(repository, commit);
    expect(measured).toMatchObject({ code, message: expect.stringMatching(says) });
    expect(measured.rssBytes).toBeLessThan(CAP_BYTES);
  });
});

test('a source whose host lied is prepared once it lies no more', async () => {
  const { repository, commit } = await lyingHost('reformed', packOf([packObject('blob', ZEROS, 1000)]));
  await using preparer = closing(openPreparer(1));
  const prepareAgain = async () => preparer.prepare(OWNER, await taskOf(repository.url, commit, join(dir, 'reformed')));
  await expect(prepareAgain()).rejects.toMatchObject({ code: 'git_object_invalid' });
  host.clearFault('reformed');
  const { prepared } = await prepareAgain();
  expect(prepared.paths.map(({ path, verdict }) => [path, verdict])).toEqual([['devices/good', 'valid']]);
});

test('a file at the end of a chain of large deltas is refused in its folder, within the memory that is promised', async () => {
  const { parts, lastOid } = chainOfLargeDeltas(40);
  const repository = await hostileRepository(host, 'chain');
  const good = await repository.tree(GOOD);
  const commit = await commitFleet(repository, { bomb: await repository.entries([{ name: 'x.bin', oid: lastOid }]), good });
  const names = [
    'main',
    'main^{tree}',
    'main:devices',
    'main:devices/bomb',
    'main:devices/good',
    'main:fleet.yaml',
    'main:devices/good/app.json',
  ];
  const objects = await Promise.all(names.map((name) => rawObject(name)));
  host.fault('chain', { kind: 'body', method: 'POST', body: fetchAnswer(packOf([...objects, ...parts])) });
  const measured = await prepareMeasured(repository, commit, 'fleet');
  expect(measured).toMatchObject({ code: 'prepared', verdicts: { 'devices/bomb': 'too_large', 'devices/good': 'valid' } });
  expect(measured.rssBytes).toBeLessThan(CAP_BYTES);

  async function rawObject(name: string): Promise<Buffer> {
    const type = (await git(host.pathOf('chain'), ['cat-file', '-t', name])).toString().trim();
    if (type !== 'commit' && type !== 'tree' && type !== 'blob') throw new Error(`"${name}" is a ${type}`);
    return packObject(type, await git(host.pathOf('chain'), ['cat-file', type, name]));
  }
});

test('400 MB of zeros that Git itself serves are refused within the memory that is promised', async () => {
  const repository = await hostileRepository(host, 'zeros');
  const oid = execFileSync('sh', ['-c', 'head -c 400000000 /dev/zero | git hash-object -w --stdin'], { cwd: host.pathOf('zeros') })
    .toString()
    .trim();
  const measured = await prepareMeasured(repository, await repository.commit(await repository.entries([{ name: 'zeros.bin', oid }])));
  expect(measured).toMatchObject({ code: 'git_too_large', message: expect.stringContaining('400000000 bytes') });
  expect(measured.rssBytes).toBeLessThan(CAP_BYTES);
});

describe('folders that a few trees multiply', () => {
  /** @returns a tree that has `width` names per level, all of them one tree */
  async function multiplied(repository: HostileRepository, width: number, levels: number): Promise<string> {
    let oid = await repository.tree(GOOD);
    for (let level = 0; level < levels; level++) {
      const below = oid;
      oid = await repository.entries(
        Array.from({ length: width }, (_, n) => ({ name: String(n).padStart(3, '0'), mode: '40000', oid: below })),
      );
    }
    return oid;
  }
  test.each([
    ['10,000,000,000 device folders', 'd/*/*/*/*/*', 'finds more than 200000 folders'],
    ['10,000,000,000 folders on the way to none', 'd/*/*/*/*/*/none', 'looks at more than 1000000 names'],
  ])('%s are an error of the revision, within the memory that is promised', async (title, pattern, says) => {
    const repository = await hostileRepository(host, title.replaceAll(/[^a-z0-9]+/g, '-').replace(/^-/, 'x'));
    const manifest = await repository.write('blob', `apiVersion: bellwether/v1\nkind: Fleet\ndevices: "${pattern}"\n`);
    const root = await repository.entries([
      { name: 'd', mode: '40000', oid: await multiplied(repository, 100, 5) },
      { name: 'fleet.yaml', oid: manifest },
    ]);
    const measured = await prepareMeasured(repository, await repository.commit(root), 'fleet');
    expect(measured).toMatchObject({ code: 'prepared', errors: [expect.stringContaining(`fleet.yaml:3 /devices ${says}`)], verdicts: {} });
    expect(measured.rssBytes).toBeLessThan(CAP_BYTES);
  });
});

describe('refs', () => {
  const call = { guard: GUARD, deadlineMs: 20_000, credentials: undefined };

  test('of a repository with 10,000 branches only those that were asked for are answered', async () => {
    const repository = await hostileRepository(host, 'branches');
    const oid = await repository.commit(await repository.tree(GOOD));
    const updates = Array.from({ length: 10_000 }, (_, n) => `create refs/heads/spam/${n} ${oid}\n`).join('');
    await git(host.pathOf('branches'), ['update-ref', '--stdin'], updates);
    const refs = await listRefs(parseRemote(repository.url, { allowHttp: true, allowLocal: false }), {
      ...call,
      prefixes: refPrefixes('main'),
    });
    expect(resolveRef(refs, 'main').oid).toBe(oid);
    expect([...refs.refs.keys()].sort()).toEqual(['HEAD', 'refs/heads/main']);
  });

  test('without end are refused by their bytes', async () => {
    const repository = await hostileRepository(host, 'endless');
    const line = `003f${'1'.repeat(40)} refs/heads/${'x'.repeat(7)}\n`.padEnd(63, 'x');
    host.fault('endless', { kind: 'body', method: 'POST', body: line.repeat(600_000) });
    const listing = listRefs(parseRemote(repository.url, { allowHttp: true, allowLocal: false }), {
      ...call,
      prefixes: refPrefixes('main'),
    });
    await expect(listing).rejects.toMatchObject({ code: 'git_too_large', message: expect.stringContaining('must be at most 33554432') });
  });
});

test('a source whose folders each use up their time gets a verdict for each before its deadline', async () => {
  await using preparer = closing(openPreparer(1, 1_500));
  const wild = await hostileRepository(host, 'wild');
  const files = {
    'app.json': `{"name":"${'a'.repeat(60)}!"}`,
    's.json': JSON.stringify({ properties: { name: { pattern: '^(?=a)(a+)+$' } } }),
    'bellwether.yaml': 'apiVersion: bellwether/v1\nkind: DeviceConfig\nvalidate:\n  - { files: app.json, schema: s.json }\n',
  };
  const folders = Array.from({ length: 60 }, (_, n) => `w${n}`);
  const commit = await commitFleet(
    wild,
    Object.fromEntries(await Promise.all(folders.map(async (name) => [name, await wild.tree(files)]))),
  );
  const { prepared } = await preparer.prepare(OWNER, await taskOf(wild.url, commit, join(dir, 'wild'), { deadlineMs: 60_000 }));
  expect(prepared.errors).toEqual([]);
  expect(new Set(prepared.paths.map(({ errors }) => errors[0]?.code))).toEqual(new Set(['validation_timeout']));
});

test('a source that takes longer than its deadline is ended with its thread, and the next source is prepared', async () => {
  await using late = closing(openPreparer(1, 0));
  const tame = await hostileRepository(host, 'tame');
  const good = await commitFleet(tame, { good: await tame.tree(GOOD) });
  const task = await taskOf(tame.url, good, join(dir, 'late'), { deadlineMs: 1 });
  await expect(late.prepare(OWNER, task)).rejects.toMatchObject({ code: 'prepare_timeout', message: expect.stringContaining(task.path) });
  await using preparer = closing(openPreparer(1));
  const { prepared } = await preparer.prepare(OWNER, await taskOf(tame.url, good, join(dir, 'tame')));
  expect(prepared.paths.map(({ path, verdict }) => [path, verdict])).toEqual([['devices/good', 'valid']]);
});

test('a process leaves nothing but mirrors on the disk', async () => {
  const mirrors = await readdir(dir);
  expect(mirrors).toContain('chain');
  for (const name of mirrors) {
    const files = await readdir(join(dir, name), { recursive: true });
    expect(files.filter((file) => /app\.json|zeros/.test(file))).toEqual([]);
  }
});

function closing(preparer: Preparer): Preparer & AsyncDisposable {
  return { ...preparer, [Symbol.asyncDispose]: () => preparer.close() };
}
