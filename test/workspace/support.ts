import { createHash } from 'node:crypto';
import { lstat, mkdtemp, readdir, readFile, readlink, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BundleManifest } from '../../src/wire/bundle.ts';
import type { Release } from '../../src/workspace/workspace.ts';

export type Files = Record<string, string>;

/** Builds a bundle of these files, all of one mode. */
export function releaseOf(files: Files, mode = '0640'): Release {
  const contents = new Map(Object.values(files).map((text) => [createHash('sha256').update(text).digest('hex'), Buffer.from(text)]));
  const manifest: BundleManifest = {
    apiVersion: 'bellwether/v1',
    kind: 'Bundle',
    apply: { hooks: {}, confirmTimeoutSeconds: 60 },
    files: Object.entries(files)
      .map(([path, text]) => ({ path, mode, size: Buffer.byteLength(text), sha256: createHash('sha256').update(text).digest('hex') }))
      .sort((a, b) => (a.path < b.path ? -1 : 1)),
  };
  return {
    manifest,
    readFile: async (sha256) => {
      const content = contents.get(sha256);
      if (content === undefined) throw new Error(`no content for ${sha256}`);
      return content;
    },
  };
}

/** Lists every regular file and link below a directory; a link reads `-> target`. Separate code, so that it shares no fault with the tested code. */
export async function readTree(directory: string): Promise<Files> {
  const found: Files = {};
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const full = join(entry.parentPath, entry.name);
    const path = full.slice(directory.length + 1);
    if (entry.isSymbolicLink()) found[path] = `-> ${await readlink(full)}`;
    else if (entry.isFile()) found[path] = await readFile(full, 'utf8');
  }
  return found;
}

/** Reads the content of `current`; null without one. */
export async function readCurrentTree(root: string, name: string): Promise<Files | null> {
  const current = join(root, name, 'current');
  return (await lstat(current).catch(() => null)) === null ? null : readTree(await realpath(current));
}

/** Lists the names of all unfinished entries in a workspace. */
export async function unfinished(root: string, name: string): Promise<string[]> {
  const entries = await readdir(join(root, name), { recursive: true });
  return entries.filter((entry) => entry.split('/').some((part) => part.endsWith('.tmp')));
}

export async function temporaryRoot(): Promise<{ root: string; close(): Promise<void> }> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'bellwether-workspaces-')));
  return { root, close: () => rm(root, { recursive: true, force: true }) };
}
