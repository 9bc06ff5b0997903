import { batched } from '../async/batch.ts';
import type { Db } from '../db/connect.ts';
import { Problem } from '../errors.ts';
import { archivePart, archiveSize } from '../wire/archive.ts';
import { type BundleKey, blobsOf, bundleManifests } from './store.ts';

/** The archive that a device downloads. Its bytes are the same every time. */
export type Archive = {
  /** Size in bytes. */
  size: number;
  /** Reads bytes from `start` to `end`, both inclusive. Reads only the files in this range and keeps one in memory. @throws Problem `bundle_missing` */
  read(start: number, end: number): AsyncGenerator<Buffer>;
};

export type Archives = { open(key: BundleKey): Promise<Archive | undefined> };

/** Bundles, or small files, per query: after a commit, all devices of a fleet download at once. */
const AT_ONCE = 200;
/** Larger files are read one by one, which bounds the memory of a query. */
const SMALL_BYTES = 64 * 1024;

export function createArchives(sql: Db): Archives {
  const manifestOf = batched(AT_ONCE, (keys: readonly BundleKey[]) => bundleManifests(sql, keys));
  const smallBlob = batched(AT_ONCE, (keys: readonly BundleKey[]) => blobsOf(sql, keys));
  return {
    open: async ({ organizationId, digest }) => {
      const manifest = await manifestOf({ organizationId, digest });
      if (manifest === undefined) return undefined;
      const readFile = async ({ sha256, size }: { sha256: string; size: number }) => {
        const key = { organizationId, digest: sha256 };
        const content = size <= SMALL_BYTES ? await smallBlob(key) : (await blobsOf(sql, [key]))[0];
        if (content === undefined) throw new Problem('bundle_missing', `Cannot find file ${sha256} of bundle ${digest}`, { status: 500 });
        return content;
      };
      return { size: archiveSize(manifest), read: (start, end) => archivePart(manifest, readFile, { start, end }) };
    },
  };
}
