import fc from 'fast-check';
import { pack } from 'tar-stream';
import { describe, expect, test } from 'vitest';
import { archivePart, archiveSize, bundleArchive, extractArchive, WireError } from '../../src/wire/archive.ts';
import type { BundleFile, BundleManifest } from '../../src/wire/bundle.ts';
import { bundleDigest, manifestBytes, sha256Hex } from '../../src/wire/bundle.ts';
import { pathCollision, pathFault } from '../../src/wire/path.ts';

type Sample = { manifest: BundleManifest; contents: Map<string, Uint8Array> };

const segment = fc.stringMatching(/^[a-zA-Z0-9äöü日 _-]{1,60}$/).filter((name) => name.trim() !== '');
const sampleFile = fc.record({
  path: fc.array(segment, { minLength: 1, maxLength: 5 }).map((names) => names.join('/')),
  mode: fc.constantFrom('0644', '0755', '0600'),
  bytes: fc.uint8Array({ maxLength: 1500 }),
});
const samples = fc
  .array(sampleFile, { maxLength: 6 })
  .map(sampleOf)
  .filter((sample) => pathCollision(sample.manifest.files.map((file) => file.path)) === null);

function sampleOf(files: { path: string; mode: string; bytes: Uint8Array }[]): Sample {
  const contents = new Map(files.map((file) => [sha256Hex(file.bytes), file.bytes]));
  const entries = files.map((file) => ({ path: file.path, mode: file.mode, size: file.bytes.length, sha256: sha256Hex(file.bytes) }));
  entries.sort((a, b) => (a.path < b.path ? -1 : 1));
  const manifest: BundleManifest = {
    apiVersion: 'bellwether/v1',
    kind: 'Bundle',
    files: entries,
    apply: { hooks: {}, confirmTimeoutSeconds: 60 },
  };
  return { manifest, contents };
}

const small = sampleOf([
  { path: 'config/app.json', mode: '0644', bytes: Buffer.from('{"a":1}') },
  { path: 'empty', mode: '0644', bytes: new Uint8Array() },
  { path: `${'long-name-'.repeat(12)}/größe.txt`, mode: '0755', bytes: Buffer.from('x'.repeat(600)) },
]);

function archiveOf(sample: Sample): Promise<Buffer> {
  return bundleArchive(sample.manifest, ({ sha256 }) => sample.contents.get(sha256) ?? new Uint8Array());
}

async function* chunked(bytes: Uint8Array, size = 700): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

type Read = { manifest: BundleManifest; files: Map<string, Buffer> };

async function read(archive: AsyncIterable<Uint8Array>, digest: string, maxBytes = 10_000_000): Promise<Read> {
  const files = new Map<string, Buffer>();
  const manifest = await extractArchive(archive, {
    digest,
    maxBytes,
    writeFile: async (file, content) => {
      const parts: Uint8Array[] = [];
      for await (const part of content) parts.push(part);
      files.set(file.path, Buffer.concat(parts));
    },
  });
  return { manifest, files };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return error instanceof WireError ? error.code : `other: ${String(error)}`;
  }
  return 'accepted';
}

/** An archive that says what `bundleArchive` never would. */
async function forged(entries: { name: string; bytes?: Uint8Array; type?: 'symlink' | 'directory'; linkname?: string }[]): Promise<Buffer> {
  const archive = pack();
  for (const { name, bytes, type, linkname } of entries) {
    if (type === undefined) archive.entry({ name }, Buffer.from(bytes ?? []));
    else archive.entry({ name, type, ...(linkname === undefined ? {} : { linkname }) });
  }
  archive.finalize();
  const parts: Uint8Array[] = [];
  for await (const part of archive) if (part instanceof Uint8Array) parts.push(part);
  return Buffer.concat(parts);
}

describe('bundleArchive', () => {
  test('gives back every file of any bundle, has the size that was announced, and the same bytes each time', async () => {
    await fc.assert(
      fc.asyncProperty(samples, fc.integer({ min: 1, max: 2000 }), async (sample, chunkSize) => {
        const archive = await archiveOf(sample);
        expect(archive.length).toBe(archiveSize(sample.manifest));
        expect((await archiveOf(sample)).equals(archive)).toBe(true);
        const { manifest, files } = await read(chunked(archive, chunkSize), bundleDigest(sample.manifest));
        expect(manifest).toEqual(sample.manifest);
        expect([...files.keys()]).toEqual(sample.manifest.files.map((file) => file.path));
        for (const file of sample.manifest.files)
          expect(files.get(file.path)?.equals(sample.contents.get(file.sha256) ?? Buffer.alloc(1))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('knows its size for every length of path, with and without characters outside ASCII', async () => {
    for (let length = 80; length <= 330; length += 1) {
      for (const letter of ['a', 'ä']) {
        const path = `${letter}${'b'.repeat(40)}/${'c'.repeat(60)}/${'d'.repeat(60)}/${'e'.repeat(200)}`
          .slice(0, length)
          .replace(/\/$/, 'x');
        const sample = sampleOf([{ path, mode: '0644', bytes: Buffer.from('1') }]);
        expect((await archiveOf(sample)).length).toBe(archiveSize(sample.manifest));
      }
    }
  });

  test('any part of it is that part of the whole, and reads no other file than it needs', async () => {
    await fc.assert(
      fc.asyncProperty(samples, fc.nat(), fc.nat(), async (sample, from, length) => {
        const archive = await archiveOf(sample);
        const start = from % archive.length;
        const end = Math.min(archive.length - 1, start + (length % archive.length));
        const read: string[] = [];
        const readFile = ({ path, sha256 }: BundleFile) => {
          read.push(path);
          return sample.contents.get(sha256) ?? new Uint8Array();
        };
        const part = Buffer.concat(await Array.fromAsync(archivePart(sample.manifest, readFile, { start, end })));
        expect(part.equals(archive.subarray(start, end + 1))).toBe(true);
        // A file's bytes, with its header, stand before those of the next.
        const paths = sample.manifest.files.map((file) => file.path);
        expect(read).toEqual(paths.slice(paths.indexOf(read[0] ?? ''), paths.indexOf(read.at(-1) ?? '') + 1).filter(() => read.length > 0));
      }),
      { numRuns: 60 },
    );
    const read: string[] = [];
    const readFile = ({ path, sha256 }: BundleFile) => {
      read.push(path);
      return small.contents.get(sha256) ?? new Uint8Array();
    };
    await Array.fromAsync(
      archivePart(small.manifest, readFile, { start: archiveSize(small.manifest) - 1100, end: Number.POSITIVE_INFINITY }),
    );
    expect(read).toEqual([small.manifest.files.at(-1)?.path]);
  });

  test('refuses bytes that are not those of the manifest', async () => {
    expect(await codeOf(bundleArchive(small.manifest, () => Buffer.from('something else')))).toBe('bundle_invalid');
  });

  test('passes on the error of a reader', async () => {
    const failing = bundleArchive(small.manifest, () => Promise.reject(new Error('no such blob')));
    await expect(failing).rejects.toThrow('no such blob');
  });
});

describe('extractArchive', () => {
  test('refuses an archive that is cut at any byte', async () => {
    const archive = await archiveOf(small);
    const digest = bundleDigest(small.manifest);
    for (let length = 0; length < archive.length; length += length % 512 === 511 ? 1 : 13 + (length % 7)) {
      expect(await codeOf(read(chunked(archive.subarray(0, length)), digest)), `cut at ${length}`).not.toBe('accepted');
    }
  });

  test('a changed byte anywhere is refused, or changes nothing that is written', async () => {
    const archive = await archiveOf(small);
    const digest = bundleDigest(small.manifest);
    const original = await read(chunked(archive), digest);
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: archive.length - 1 }), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const broken = Buffer.from(archive);
        broken[at] = (broken[at] ?? 0) ^ change;
        try {
          expect(await read(chunked(broken), digest)).toEqual(original);
        } catch (error) {
          if (!(error instanceof WireError)) throw error;
          refused += 1;
        }
      }),
      { numRuns: 400 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  test('refuses another bundle than the wanted one before it writes a file', async () => {
    let written = 0;
    const wanted = 'a'.repeat(64);
    const writeFile = (): void => {
      written += 1;
    };
    expect(await codeOf(extractArchive(chunked(await archiveOf(small)), { digest: wanted, maxBytes: 1e6, writeFile }))).toBe(
      'bundle_digest_mismatch',
    );
    expect(written).toBe(0);
  });

  test('refuses more bytes than allowed, announced or sent', async () => {
    const archive = await archiveOf(small);
    expect(await codeOf(read(chunked(archive), bundleDigest(small.manifest), archive.length - 1))).toBe('bundle_too_large');
    expect(await codeOf(read(chunked(Buffer.concat([archive, Buffer.alloc(5000)])), bundleDigest(small.manifest), archive.length))).toBe(
      'bundle_too_large',
    );
    expect(await codeOf(read(chunked(Buffer.concat([archive, Buffer.alloc(512)])), bundleDigest(small.manifest)))).toBe('bundle_invalid');
  });

  test.each([
    ['a symlink', [{ name: 'files/a', type: 'symlink' as const, linkname: '/etc/passwd' }]],
    ['a directory', [{ name: 'files/a', type: 'directory' as const }]],
    ['a file that is not in the manifest', [{ name: 'files/b', bytes: Buffer.from('1') }]],
    [
      'a file twice',
      [
        { name: 'files/a', bytes: Buffer.from('1') },
        { name: 'files/a', bytes: Buffer.from('1') },
      ],
    ],
    ['a path outside', [{ name: '../a', bytes: Buffer.from('1') }]],
    ['other content', [{ name: 'files/a', bytes: Buffer.from('2') }]],
    ['longer content', [{ name: 'files/a', bytes: Buffer.from('11') }]],
    ['no file', []],
  ])('refuses %s', async (_what, entries) => {
    const sample = sampleOf([{ path: 'a', mode: '0644', bytes: Buffer.from('1') }]);
    const archive = await forged([{ name: 'bundle.json', bytes: manifestBytes(sample.manifest) }, ...entries]);
    expect(await codeOf(read(chunked(archive), bundleDigest(sample.manifest)))).toBe('bundle_invalid');
  });

  test.each([['../a'], ['/a'], ['a/../b'], ['a//b'], ['a\\b'], ['a\nb'], ['a/.']])('refuses a manifest with the path %j', async (path) => {
    const sample = sampleOf([{ path, mode: '0644', bytes: Buffer.from('1') }]);
    const archive = await forged([
      { name: 'bundle.json', bytes: manifestBytes(sample.manifest) },
      { name: `files/${path}`, bytes: Buffer.from('1') },
    ]);
    expect(await codeOf(read(chunked(archive), bundleDigest(sample.manifest)))).toBe('bundle_invalid');
  });

  test('refuses an archive whose first entry is not the manifest', async () => {
    const archive = await forged([{ name: 'files/a', bytes: Buffer.from('1') }]);
    expect(await codeOf(read(chunked(archive), 'a'.repeat(64)))).toBe('bundle_invalid');
  });

  test('passes on the error of the source and of the writer', async () => {
    const archive = await archiveOf(small);
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield archive.subarray(0, 900);
      throw new Error('connection reset');
    }
    await expect(read(broken(), bundleDigest(small.manifest))).rejects.toThrow('connection reset');
    const writing = extractArchive(chunked(archive), {
      digest: bundleDigest(small.manifest),
      maxBytes: 1e6,
      writeFile: () => Promise.reject(new Error('no space left')),
    });
    await expect(writing).rejects.toThrow('no space left');
  });

  test('verifies a file that the writer does not read', async () => {
    const sample = sampleOf([{ path: 'a', mode: '0644', bytes: Buffer.from('x'.repeat(100_000)) }]);
    const archive = await archiveOf(sample);
    const options = { digest: bundleDigest(sample.manifest), maxBytes: 1e6, writeFile: (): void => undefined };
    expect(await codeOf(extractArchive(chunked(archive), options))).toBe('accepted');
    archive[archive.length - 3000] = 1;
    expect(await codeOf(extractArchive(chunked(archive), options))).toBe('bundle_invalid');
  });
});

describe('paths', () => {
  test('accepts ordinary paths', () => {
    for (const path of ['a', 'a/b.json', '.hidden/x', 'größe/日本.txt', 'a b/c']) expect(pathFault(path)).toBeNull();
  });

  test('two paths collide that differ in case or Unicode composition only, or when one is a folder of the other', () => {
    expect(pathCollision(['a/B', 'A/b'])).toEqual({ first: 'a/B', second: 'A/b' });
    expect(pathCollision(['\u00e9', 'e\u0301'])).not.toBeNull();
    expect(pathCollision(['a/b/c', 'A/b'])).toEqual({ first: 'A/b', second: 'a/b/c' });
    expect(pathCollision(['a/b', 'a/bc', 'ab'])).toBeNull();
  });

  test('the digest does not depend on the order of keys', () => {
    const { files, apply } = small.manifest;
    expect(bundleDigest({ kind: 'Bundle', apply, files, apiVersion: 'bellwether/v1' })).toBe(bundleDigest(small.manifest));
  });
});
