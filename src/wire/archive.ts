import { createHash } from 'node:crypto';
import type { Extract, Header } from 'tar-stream';
import { extract, pack } from 'tar-stream';
import type { BundleFile } from './bundle.ts';
import { BUNDLE_FILES_PREFIX, BUNDLE_MANIFEST_NAME, BundleManifest, bundleDigest, manifestBytes, sha256Hex } from './bundle.ts';
import { pathCollision, pathFault } from './path.ts';

/** The tar archive of a bundle: the manifest first, then the files in the manifest's order. The bundle determines each byte. */

export type WireErrorCode = 'bundle_digest_mismatch' | 'bundle_invalid' | 'bundle_too_large';

/** A bundle that must not be applied. `code` is stable. */
export class WireError extends Error {
  readonly code: WireErrorCode;

  constructor(code: WireErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'WireError';
    this.code = code;
  }
}

const BLOCK_BYTES = 512;
/** Two empty blocks end an archive. */
const TRAILER_BYTES = 2 * BLOCK_BYTES;
/** 100,000 files with long paths; a manifest is never larger than its archive. */
const MAX_MANIFEST_BYTES = 128 * 1024 * 1024;

type ReadFile = (file: BundleFile) => Uint8Array | Promise<Uint8Array>;

/** The whole archive. @throws WireError `bundle_invalid` when `readFile` returns other bytes than the manifest names */
export async function bundleArchive(manifest: BundleManifest, readFile: ReadFile): Promise<Buffer> {
  return collect(archivePart(manifest, readFile, { start: 0, end: Number.POSITIVE_INFINITY }));
}

/**
 * The archive's bytes from `start` to `end`, both inclusive. They are the same on every call and machine, so that any replica can resume a
 * download by Range. It calls `readFile` once for each file in the range, in order, after the caller consumed the bytes before it.
 * @throws WireError `bundle_invalid` when `readFile` returns other bytes than the manifest names
 */
export async function* archivePart(
  manifest: BundleManifest,
  readFile: ReadFile,
  { start, end }: { start: number; end: number },
): AsyncGenerator<Buffer> {
  let at = 0;
  for (const { size, bytes } of partsOf(manifest, readFile)) {
    if (at + size > start && at <= end) yield (await bytes()).subarray(Math.max(0, start - at), Math.min(size, end + 1 - at));
    at += size;
  }
}

/** Size of `bundleArchive(manifest, …)`, bytes. It reads no file. */
export function archiveSize(manifest: BundleManifest): number {
  let total = 0;
  for (const { size } of partsOf(manifest, () => Buffer.alloc(0))) total += size;
  return total;
}

type Part = { size: number; bytes(): Promise<Buffer> };

function* partsOf(manifest: BundleManifest, readFile: ReadFile): Generator<Part> {
  const content = manifestBytes(manifest);
  yield { size: BLOCK_BYTES + padded(content.length), bytes: () => packed(header(BUNDLE_MANIFEST_NAME, content.length, 0o644), content) };
  for (const file of manifest.files) {
    const name = BUNDLE_FILES_PREFIX + file.path;
    yield {
      size: extendedHeaderSize(name) + BLOCK_BYTES + padded(file.size),
      bytes: async () => {
        const bytes = await readFile(file);
        if (bytes.length !== file.size || sha256Hex(bytes) !== file.sha256) {
          throw new WireError('bundle_invalid', `Cannot pack "${file.path}": its bytes are not those with SHA-256 ${file.sha256}`);
        }
        return packed(header(name, file.size, Number.parseInt(file.mode, 8)), Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
      },
    };
  }
  yield { size: TRAILER_BYTES, bytes: async () => Buffer.alloc(TRAILER_BYTES) };
}

/** The bytes of one entry inside an archive. */
async function packed(entry: Partial<Header> & Pick<Header, 'name'>, content: Buffer): Promise<Buffer> {
  const archive = pack();
  archive.entry(entry, content);
  archive.finalize();
  const bytes = await collect(archive);
  return bytes.subarray(0, bytes.length - TRAILER_BYTES);
}

export type ExtractOptions = {
  /** Digest of the wanted bundle: the manifest in the archive must have it. */
  digest: string;
  /** Limit of the whole archive, which also bounds the sizes in its manifest. */
  maxBytes: number;
  /** Called once with the verified manifest, before the first file, so that the caller can prepare its target. */
  onManifest?: (manifest: BundleManifest) => void | Promise<void>;
  /**
   * Called once per file. `content` ends with a WireError when size or SHA-256 differ from those of `file`, and the writer must pass that error
   * on. If the writer stops early, the reader verifies the remaining bytes.
   */
  writeFile: (file: BundleFile, content: AsyncIterable<Uint8Array>) => void | Promise<void>;
};

/**
 * Reads an archive to its end and passes its verified files to `writeFile`.
 * @returns the manifest, whose digest is `digest`
 * @throws WireError; an unchanged error of `source`, `onManifest` or `writeFile`
 */
export async function extractArchive(source: AsyncIterable<Uint8Array>, options: ExtractOptions): Promise<BundleManifest> {
  const archive = extract();
  archive.on('error', () => undefined);
  const feeding = feed(source, archive, options.maxBytes);
  try {
    const manifest = await readEntries(archive, options);
    const received = await feeding.done;
    const expected = archiveSize(manifest);
    if (received !== expected) throw refuse(`it has ${received} bytes, must have ${expected}`);
    return manifest;
  } catch (error) {
    archive.destroy();
    if (feeding.failure() !== undefined) throw feeding.failure();
    if (error instanceof CallerError) throw error.cause;
    throw error instanceof WireError ? error : refuse('it is not a whole tar archive', error);
  }
}

/** Carries an error of a callback past the handling of damaged archives. */
class CallerError extends Error {}

async function calling(callback: () => void | Promise<void>): Promise<void> {
  try {
    await callback();
  } catch (error) {
    throw new CallerError('A callback failed', { cause: error });
  }
}

type Feeding = { done: Promise<number>; failure(): unknown };

/** Passes `source` to `archive` and counts its bytes. It keeps an error of the source apart from an error of the archive's format. */
function feed(source: AsyncIterable<Uint8Array>, archive: Extract, maxBytes: number): Feeding {
  let failure: unknown;
  const run = async (): Promise<number> => {
    let received = 0;
    try {
      for await (const chunk of source) {
        if (archive.destroyed) return received;
        received += chunk.length;
        if (received > maxBytes) throw new WireError('bundle_too_large', `Cannot accept bundle: it has more than ${maxBytes} bytes`);
        if (!archive.write(chunk)) await drained(archive);
      }
    } catch (error) {
      failure = error;
      // With an error, because a reader of the next entry would wait for ever after a silent end.
      archive.destroy(error instanceof Error ? error : new Error('The source failed', { cause: error }));
      throw error;
    }
    archive.end(null);
    return received;
  };
  const done = run();
  done.catch(() => undefined);
  return { done, failure: () => failure };
}

type Entry = AsyncIterable<unknown> & { header: Header };

/** Resolves when the archive accepts more bytes or is closed. */
function drained(archive: Extract): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      archive.off('drain', settle);
      archive.off('close', settle);
      resolve();
    };
    archive.on('drain', settle);
    archive.on('close', settle);
    if (archive.destroyed) settle();
  });
}

async function readEntries(archive: Extract, options: ExtractOptions): Promise<BundleManifest> {
  let manifest: BundleManifest | undefined;
  const awaited = new Map<string, BundleFile>();
  for await (const entry of archive) {
    if (entry.header.type !== 'file') throw refuse(`its entry "${entry.header.name}" is a ${entry.header.type}, must be a file`);
    if (manifest === undefined) {
      manifest = await readManifest(entry, options);
      for (const file of manifest.files) awaited.set(BUNDLE_FILES_PREFIX + file.path, file);
      const accepted = manifest;
      await calling(() => options.onManifest?.(accepted));
      continue;
    }
    const file = awaited.get(entry.header.name);
    if (file === undefined) throw refuse(`its entry "${entry.header.name}" is not in the manifest or is a duplicate`);
    awaited.delete(entry.header.name);
    if (entry.header.size !== file.size) throw refuse(`"${file.path}" has ${entry.header.size} bytes, must have ${file.size}`);
    await readContent(entry, file, options);
  }
  if (manifest === undefined) throw refuse('it is empty');
  if (awaited.size > 0) throw refuse(`${awaited.size} of its files are missing`);
  return manifest;
}

async function readManifest(entry: Entry, options: ExtractOptions): Promise<BundleManifest> {
  if (entry.header.name !== BUNDLE_MANIFEST_NAME) {
    throw refuse(`its first entry is "${entry.header.name}", must be "${BUNDLE_MANIFEST_NAME}"`);
  }
  const limit = Math.min(options.maxBytes, MAX_MANIFEST_BYTES);
  if ((entry.header.size ?? 0) > limit)
    throw new WireError('bundle_too_large', `Cannot accept bundle: its manifest has more than ${limit} bytes`);
  const bytes = await collect(entry);
  if (sha256Hex(bytes) !== options.digest) {
    throw new WireError('bundle_digest_mismatch', `Cannot accept bundle: its digest is ${sha256Hex(bytes)}, must be ${options.digest}`);
  }
  const manifest = parseManifest(bytes);
  assertSafe(manifest, options);
  return manifest;
}

function parseManifest(bytes: Buffer): BundleManifest {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new WireError('bundle_invalid', 'Cannot accept bundle: its manifest is not JSON', { cause: error });
  }
  const parsed = BundleManifest.safeParse(json);
  if (!parsed.success)
    throw new WireError('bundle_invalid', 'Cannot accept bundle: its manifest has another form', { cause: parsed.error });
  return parsed.data;
}

function assertSafe(manifest: BundleManifest, options: ExtractOptions): void {
  // A default that the sender left out would change the canonical bytes, and one digest must identify one bundle on both sides.
  if (bundleDigest(manifest) !== options.digest) throw refuse('its manifest is not in canonical form');
  for (const file of manifest.files) {
    const fault = pathFault(file.path);
    if (fault !== null) throw refuse(`its path "${file.path}" ${fault}`);
  }
  const collision = pathCollision(manifest.files.map((file) => file.path));
  if (collision !== null) throw refuse(`"${collision.first}" and "${collision.second}" cannot both exist`);
  const size = archiveSize(manifest);
  if (size > options.maxBytes) {
    throw new WireError('bundle_too_large', `Cannot accept bundle: it has ${size} bytes, must have <= ${options.maxBytes}`);
  }
}

async function readContent(entry: Entry, file: BundleFile, options: ExtractOptions): Promise<void> {
  const content = verified(entry, file);
  // Without `return`, a writer that stops early does not close the entry, so that the loop below can hash the rest.
  await calling(() => options.writeFile(file, { [Symbol.asyncIterator]: () => ({ next: () => content.next() }) }));
  for await (const _rest of content);
}

async function* verified(entry: Entry, file: BundleFile): AsyncGenerator<Uint8Array, void, void> {
  const hash = createHash('sha256');
  let size = 0;
  try {
    for await (const chunk of bytesOf(entry)) {
      size += chunk.length;
      hash.update(chunk);
      yield chunk;
    }
  } catch (error) {
    throw refuse(`"${file.path}" ends early`, error);
  }
  if (size !== file.size) throw refuse(`"${file.path}" has ${size} bytes, must have ${file.size}`);
  if (hash.digest('hex') !== file.sha256) throw refuse(`"${file.path}" does not have the SHA-256 that its manifest names`);
}

function refuse(reason: string, cause?: unknown): WireError {
  return new WireError('bundle_invalid', `Cannot accept bundle: ${reason}`, cause === undefined ? undefined : { cause });
}

function header(name: string, size: number, mode: number): Partial<Header> & Pick<Header, 'name'> {
  return { name, size, mode, mtime: new Date(0), uid: 0, gid: 0, uname: '', gname: '', type: 'file' };
}

function padded(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

/** A name that the plain header cannot hold (not ASCII, or not divisible into 155 and 100 bytes) needs a PAX entry before its file. */
function extendedHeaderSize(name: string): number {
  if (fitsPlainHeader(name)) return 0;
  const record = Buffer.byteLength(` path=${name}\n`);
  const digits = String(record + String(record).length).length;
  return BLOCK_BYTES + padded(record + digits);
}

function fitsPlainHeader(name: string): boolean {
  if (Buffer.byteLength(name) !== name.length) return false;
  let cut = 0;
  while (name.length - cut > 100) {
    const slash = name.indexOf('/', cut);
    if (slash === -1) return false;
    cut = slash + 1;
  }
  return cut - 1 <= 155;
}

async function collect(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytesOf(stream)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* bytesOf(stream: AsyncIterable<unknown>): AsyncGenerator<Uint8Array, void, void> {
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('A tar stream returned something other than bytes');
    yield chunk;
  }
}
