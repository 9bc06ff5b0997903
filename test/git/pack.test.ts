import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Problem } from '../../src/errors.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { closeConnections } from '../../src/git/http/connections.ts';
import { DEFAULT_LIMITS } from '../../src/git/limits.ts';
import { indexPack } from '../../src/git/pack/index-of-pack.ts';
import { objectId } from '../../src/git/pack/pack.ts';
import { packReader } from '../../src/git/pack/reader.ts';
import { parseRemote } from '../../src/git/remote.ts';
import { fetchSnapshot } from '../../src/git/snapshot.ts';
import { git, openGitHost, type TestGitHost } from '../support/git-host.ts';

const limits = DEFAULT_LIMITS;
const guard = addressGuard({ allowPrivate: true });
let host: TestGitHost;
beforeAll(async () => {
  host = await openGitHost();
});
afterAll(async () => {
  await closeConnections(guard);
  await host.close();
});

const TYPES = { commit: 1, tree: 2, blob: 3, tag: 4, ofs: 6, ref: 7 };
type Part = { type: keyof typeof TYPES; size: number; base?: Buffer; data: Buffer };

function pack(parts: Part[], count = parts.length): Buffer {
  const head = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1');
  head.writeUInt32BE(count, 8);
  const body = Buffer.concat([head, ...parts.map(entry)]);
  return Buffer.concat([body, createHash('sha1').update(body).digest()]);
}

function entry(part: Part): Buffer {
  const bytes = [(TYPES[part.type] << 4) | (part.size & 15)];
  for (let rest = Math.floor(part.size / 16); rest; rest = Math.floor(rest / 128)) {
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 128;
    bytes.push(rest & 127);
  }
  return Buffer.concat([Buffer.from(bytes), part.base ?? Buffer.alloc(0), part.data]);
}

function attempt<T>(act: () => T): T | Problem {
  try {
    return act();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}

function expectTrueIds(indexed: ReturnType<typeof indexPack>): void {
  const reader = packReader([indexed], limits);
  const count = indexed.idx.readUInt32BE(8 + 255 * 4);
  expect(count).toBe(indexed.pack.readUInt32BE(8));
  for (let n = 0; n < count; n++) {
    const oid = indexed.idx.toString('hex', 1032 + n * 20, 1052 + n * 20);
    const object = reader.read(oid);
    expect(object && objectId(object)).toBe(oid);
  }
}

const blob = (bytes: Buffer): Part => ({ type: 'blob', size: bytes.length, data: deflateSync(bytes) });
const refDelta = (oid: string, delta: Buffer): Part => ({
  type: 'ref',
  size: delta.length,
  base: Buffer.from(oid, 'hex'),
  data: deflateSync(delta),
});
const idOf = (text: string): string => objectId({ type: 'blob', bytes: Buffer.from(text) });
/** Copies all of a base of fewer than 128 bytes, then appends a text. */
const append = (baseLength: number, text: string): Buffer =>
  Buffer.concat([Buffer.from([baseLength, baseLength + text.length, 0x90, baseLength, text.length]), Buffer.from(text)]);

describe('indexPack()', () => {
  test('writes the same index as git index-pack', async () => {
    await host.createRepository('same');
    const text = Array.from({ length: 500 }, (_, n) => `line ${n * 7919}`);
    for (let n = 0; n < 8; n++) {
      text[n * 50] = `edit ${n}`;
      await host.commit('same', { 'a/b.txt': text.join('\n'), [`f${n}`]: `${n}` });
    }
    const objects = await git(host.pathOf('same'), ['rev-list', '--objects', '--all']);
    const bytes = await git(
      host.pathOf('same'),
      ['pack-objects', '--stdout', '--delta-base-offset', '-q'],
      objects.toString().replace(/ .*/gm, ''),
    );
    const indexed = indexPack(bytes, limits);
    await git(host.pathOf('same'), ['index-pack', '--stdin', '--keep'], bytes);
    const expected = await readFile(`${host.pathOf('same')}/objects/pack/pack-${indexed.name}.idx`);
    expect(indexed.idx.equals(expected)).toBe(true);
  });

  test('resolves deltas whose base follows them or is outside, and completes a thin pack', () => {
    const outsideBase = { type: 'blob' as const, bytes: Buffer.from('outside') };
    const bytes = pack([refDelta(idOf('base'), append(4, '+1')), blob(Buffer.from('base')), refDelta(idOf('outside'), append(7, '+2'))]);
    const indexed = indexPack(bytes, limits, (oid) => (oid === idOf('outside') ? outsideBase : undefined));
    const reader = packReader([indexed], limits);
    for (const text of ['base', 'base+1', 'outside', 'outside+2']) expect(reader.read(idOf(text))?.bytes.toString()).toBe(text);
    expect(indexed.pack.readUInt32BE(8)).toBe(4);
    expect(reader.has(idOf('never'))).toBe(false);
    expect(() => indexPack(bytes, limits)).toThrow(
      expect.objectContaining({ code: 'git_object_missing', message: expect.stringContaining(idOf('outside')) }),
    );
  });

  const small = blob(Buffer.from('x'));
  const hostile: [string, Buffer, string][] = [
    ['nothing', Buffer.alloc(0), 'git_transfer_damaged'],
    ['a wrong checksum', Buffer.concat([pack([small]).subarray(0, -1), Buffer.from([1])]), 'git_transfer_damaged'],
    ['a count too high', pack([small], 2), 'git_object_invalid'],
    ['a count too low', pack([small, small], 1), 'git_object_invalid'],
    ['an absurd count', pack([small], 0xffffffff), 'git_too_large'],
    ['a declared size beyond the limit', pack([{ ...small, size: 400_000_000 }]), 'git_too_large'],
    ['a declared size beyond all integers', pack([{ ...small, size: Number.MAX_SAFE_INTEGER }]), 'git_too_large'],
    ['more content than declared', pack([{ ...blob(Buffer.alloc(50_000_000)), size: 10 }]), 'git_object_invalid'],
    ['less content than declared', pack([{ ...small, size: 2 }]), 'git_object_invalid'],
    ['garbage for content', pack([{ ...small, data: Buffer.from('garbage!') }]), 'git_object_invalid'],
    ['a delta of itself', pack([{ type: 'ofs', size: 4, base: Buffer.from([0]), data: deflateSync(append(1, '')) }]), 'git_object_invalid'],
    [
      'a delta that begins before the pack',
      pack([{ type: 'ofs', size: 4, base: Buffer.from([100]), data: deflateSync(append(1, '')) }]),
      'git_object_invalid',
    ],
    [
      'a delta into the middle of an object',
      pack([small, { type: 'ofs', size: 5, base: Buffer.from([5]), data: deflateSync(append(1, '')) }]),
      'git_object_invalid',
    ],
    ['a delta for another base length', pack([small, refDelta(idOf('x'), append(9, 'y'))]), 'git_object_invalid'],
    ['a delta that copies beyond its base', pack([small, refDelta(idOf('x'), Buffer.from([1, 200, 1, 0x90, 200]))]), 'git_object_invalid'],
    ['a delta with a reserved instruction', pack([small, refDelta(idOf('x'), Buffer.from([1, 1, 0]))]), 'git_object_invalid'],
    ['a delta with a huge result', pack([small, refDelta(idOf('x'), Buffer.from([1, 0x80, 0x80, 0x80, 0x80, 0x08, 1]))]), 'git_too_large'],
    ['an empty delta', pack([small, refDelta(idOf('x'), Buffer.alloc(0))]), 'git_object_invalid'],
    ['an unknown type', pack([{ ...small, type: 'ofs', size: 1 }]).fill(0x50, 12, 13), 'git_transfer_damaged'],
  ];
  test.each(hostile)('refuses %s', (_title, bytes, code) => {
    expect(() => indexPack(bytes, limits)).toThrow(expect.objectContaining({ code }));
  });

  test('any changed bytes give a Problem or objects with correct ids', () => {
    const parts = [blob(Buffer.from('base'.repeat(20))), refDelta(idOf('base'.repeat(20)), append(80, 'tail')), blob(Buffer.alloc(300, 7))];
    const original = pack([...parts, { type: 'tree', size: 0, data: deflateSync(Buffer.alloc(0)) }]);
    const change = fc.tuple(fc.nat(original.length - 21), fc.nat(255));
    let refused = 0;
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Buffer.from(original);
        for (const [at, value] of changes) bytes[at] = value;
        createHash('sha1')
          .update(bytes.subarray(0, -20))
          .digest()
          .copy(bytes, bytes.length - 20);
        const outcome = attempt(() => indexPack(bytes, limits));
        if (outcome instanceof Problem) refused++;
        else expectTrueIds(outcome);
      }),
      { numRuns: 2000 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  test('stops at the limit of all inflated bytes', () => {
    const parts = Array.from({ length: 20 }, (_, n) => blob(Buffer.alloc(100_000, n)));
    expect(() => indexPack(pack(parts), { ...limits, maxInflatedBytes: 1_900_000 })).toThrow(
      expect.objectContaining({ code: 'git_too_large' }),
    );
    expect(() => indexPack(pack(parts), { ...limits, maxInflatedBytes: 2_100_000 })).not.toThrow();
  });

  test('a long chain of deltas needs no recursion', () => {
    const chain = (length: number): Buffer => {
      const parts = [blob(Buffer.from('x'))];
      let at = 'x';
      for (let n = 1; n < length; n++) {
        const next = `x${n}`;
        parts.push(refDelta(idOf(at), Buffer.concat([Buffer.from([at.length, next.length, next.length]), Buffer.from(next)])));
        at = next;
      }
      return pack(parts);
    };
    const reader = packReader([indexPack(chain(3000), limits)], limits);
    expect(reader.read(idOf('x2999'))?.bytes.toString()).toBe('x2999');
  });
});

test('400 MB of zeros are refused without being inflated', async () => {
  const url = await host.createRepository('zeros');
  const path = host.pathOf('zeros');
  const blobOid = execFileSync('sh', ['-c', 'head -c 400000000 /dev/zero | git hash-object -w --stdin'], { cwd: path }).toString().trim();
  const treeOid = (await git(path, ['mktree'], `100644 blob ${blobOid}\tzeros.bin\n`)).toString().trim();
  const oid = (await git(path, ['-c', 'user.name=A', '-c', 'user.email=a@example.com', 'commit-tree', '-m', 'zeros', treeOid]))
    .toString()
    .trim();
  await git(path, ['update-ref', 'refs/heads/main', oid]);
  const before = process.memoryUsage().rss;
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 5);
  const failure = await fetchSnapshot(parseRemote(url, { allowHttp: true, allowLocal: false }), {
    oid,
    ref: 'main',
    guard,
    deadlineMs: 60_000,
    limits,
  }).catch((error: unknown) => error);
  clearInterval(watch);
  expect(failure).toMatchObject({ code: 'git_too_large', message: expect.stringContaining('400000000') });
  expect(Math.max(peak, process.memoryUsage().rss) - before).toBeLessThan(100_000_000);
});
