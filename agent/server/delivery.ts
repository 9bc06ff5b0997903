import { createWriteStream } from 'node:fs';
import { readFile, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { WireError } from '../../src/wire/archive.ts';
import type { BundleManifest } from '../../src/wire/bundle.ts';
import { isNoSpace } from '../../src/wire/no-space.ts';
import { messageOf, Problem, retryOf } from '../../src/wire/problem.ts';
import { writeDurably } from '../disk/files.ts';
import { installRelease } from '../disk/release.ts';
import type { Root } from '../disk/root.ts';
import type { Fault } from '../faults.ts';
import type { Log } from '../log.ts';
import { pauseMs } from '../time/backoff.ts';
import { pause } from '../time/signals.ts';
import type { Identity } from './identity.ts';
import type { AgentServer } from './server.ts';

export type DeliveryContext = { root: Root; server: AgentServer; identity: Identity; log: Log; fault: Fault; maxBundleBytes: number };

export type Wanted = { digest: string; size: number; url: string };

/** Tries in a row without a new byte, after which the delivery fails. */
const FRUITLESS_TRIES = 8;
/** Space that must stay free for the device's own software, bytes. */
const SPARE_BYTES = 1024 * 1024;

/**
 * Downloads a bundle into `staging`, resumes an earlier try, verifies the archive and installs the release. It discards an archive that fails
 * the verification, and downloads it once more from its beginning.
 * @throws Problem `download_failed`, `no_space` (nothing staged is left behind); the signal's reason
 */
export async function deliver(context: DeliveryContext, wanted: Wanted, signal: AbortSignal): Promise<BundleManifest> {
  const part = partOf(context.root, wanted.digest);
  try {
    await requireSpace(context.root, wanted);
    return await fetchAndInstall(context, wanted, part, signal).catch(async (error: unknown) => {
      if (!(error instanceof WireError) || error.code === 'bundle_too_large') throw error;
      context.log('warn', 'failed to verify the downloaded bundle; it is downloaded again', {
        digest: wanted.digest,
        error: error.message,
      });
      await discard(context.root, wanted.digest);
      return fetchAndInstall(context, wanted, part, signal);
    });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (isNoSpace(error) || error instanceof WireError) await discard(context.root, wanted.digest);
    throw deliveryProblem(wanted.digest, error);
  }
}

/** Stages an archive from the answer with the desired state, as if it was downloaded. If that fails or a download began, the download follows. */
export async function stage({ root, log }: Pick<DeliveryContext, 'root' | 'log'>, digest: string, archive: Buffer): Promise<void> {
  try {
    await writeFile(partOf(root, digest), archive, { flag: 'wx', mode: 0o600, flush: true });
  } catch (error) {
    log('debug', 'failed to stage the inline archive; a download follows', { digest, error: messageOf(error) });
  }
}

function partOf(root: Root, digest: string): string {
  return join(root.staging, `${digest}.part`);
}

function deliveryProblem(digest: string, cause: unknown): Problem {
  if (isNoSpace(cause)) return new Problem('no_space', `Cannot store bundle "${digest}": ${messageOf(cause)}`, { cause });
  return new Problem('download_failed', `Cannot get bundle "${digest}": ${messageOf(cause)}`, { cause });
}

/** Requires twice the bundle's size, because the disk holds archive and release at once. */
async function requireSpace(root: Root, wanted: Wanted): Promise<void> {
  const { bavail, bsize } = await statfs(root.folder);
  const free = bavail * bsize;
  const needed = 2 * wanted.size + SPARE_BYTES;
  if (free < needed) throw Object.assign(new Error(`${free} bytes are free, ${needed} are needed`), { code: 'ENOSPC' });
}

async function discard(root: Root, digest: string): Promise<void> {
  const left = [
    partOf(root, digest),
    join(root.staging, `${digest}.etag`),
    join(root.releases, `${digest}.tmp`),
    join(root.bundles, `${digest}.json.tmp`),
  ];
  for (const path of left) await rm(path, { recursive: true, force: true });
}

async function fetchAndInstall(context: DeliveryContext, wanted: Wanted, part: string, signal: AbortSignal): Promise<BundleManifest> {
  await download(context, wanted, part, signal);
  context.fault('after_download');
  const manifest = await installRelease(context.root, part, wanted.digest, context.maxBundleBytes, context.fault);
  await rm(join(context.root.staging, `${wanted.digest}.etag`), { force: true });
  return manifest;
}

async function download(context: DeliveryContext, wanted: Wanted, part: string, signal: AbortSignal): Promise<void> {
  for (let fruitless = 0; ; fruitless += 1) {
    const before = await sizeOf(part);
    if (before > 0 && before === wanted.size) return;
    try {
      return await downloadRest(context, wanted, part, before, signal);
    } catch (error) {
      signal.throwIfAborted();
      const refused = retryOf(error) === 'never';
      if (refused || isNoSpace(error) || error instanceof WireError || fruitless >= FRUITLESS_TRIES) throw error;
      const after = await sizeOf(part);
      if (after > before) fruitless = 0;
      context.log('warn', 'failed to finish the download; the next try resumes it', {
        digest: wanted.digest,
        bytes: after,
        error: messageOf(error),
      });
      await pause(pauseMs(fruitless, error instanceof Problem ? error.retryAfterSeconds : undefined, Math.random()), signal);
      signal.throwIfAborted();
    }
  }
}

async function downloadRest(context: DeliveryContext, wanted: Wanted, part: string, from: number, signal: AbortSignal): Promise<void> {
  const etagPath = join(context.root.staging, `${wanted.digest}.etag`);
  const etag = await readFile(etagPath, 'utf8').catch(() => undefined);
  const answer = await context.server.bundle(context.identity, wanted.url, from, etag, signal);
  if (answer.kind === 'complete') return;
  let size = answer.kind === 'rest' ? from : 0;
  if (answer.kind === 'whole') {
    await rm(part, { force: true });
    if (answer.etag === undefined || answer.etag.startsWith('W/')) await rm(etagPath, { force: true });
    else await writeDurably(etagPath, answer.etag);
  }
  const expected = Number(answer.body.headers['content-length'] ?? Number.NaN);
  const { maxBundleBytes, fault } = context;
  async function* counted(chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      size += chunk.length;
      if (size > maxBundleBytes) throw new WireError('bundle_too_large', `Cannot accept bundle: it has more than ${maxBundleBytes} bytes`);
      yield chunk;
      fault('during_download');
    }
  }
  const start = size;
  await pipeline(answer.body, counted, createWriteStream(part, { flags: 'a', mode: 0o600, flush: true }), { signal });
  if (size - start < expected) throw new Error(`the connection ended after ${size - start} of ${expected} bytes`);
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
