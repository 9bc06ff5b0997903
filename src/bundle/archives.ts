import { batched } from '../async/batch.ts';
import type { Db } from '../db/connect.ts';
import { Problem } from '../errors.ts';
import { archivePart, archiveSize } from '../wire/archive.ts';
import { type BundleKey, blobsOf, bundleManifests } from './store.ts';

/** What a device downloads: the same bytes every time. */
export type Archive = {
  /** Bytes. */
  size: number;
  /** From `start` to `end`, both inclusive. Holds one file at a time, and reads those only that are asked for. @throws Problem `bundle_missing` */
  read(start: number, end: number): AsyncGenerator<Buffer>;
};

export type Archives = { open(key: BundleKey): Promise<Archive | undefined> };

/** Bundles per query, and small files per query: when a commit reaches a fleet, all its devices ask at once. */
const AT_ONCE = 200;
/** Larger files are read one by one, so that a query never holds much. */
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
