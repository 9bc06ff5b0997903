import type { Db } from '../db/connect.ts';
import { Problem } from '../errors.ts';
import { bundleArchive } from '../wire/archive.ts';
import { BundleManifest } from '../wire/bundle.ts';

export async function bundleManifest(sql: Db, organizationId: string, digest: string): Promise<BundleManifest | undefined> {
  const [row] = await sql<
    { manifest: unknown }[]
  >`select manifest from bundles where organization_id = ${organizationId} and digest = ${digest}`;
  return row === undefined ? undefined : BundleManifest.parse(row.manifest);
}

/** JSON pointers of the values that a schema marks secret, by the file's path on the device. */
export async function bundleSecrets(sql: Db, organizationId: string, digest: string): Promise<Record<string, string[]>> {
  const [row] = await sql<{ pointers: Record<string, string[]> }[]>`
    select secret_pointers as pointers from bundles where organization_id = ${organizationId} and digest = ${digest}`;
  return row?.pointers ?? {};
}

/** Bytes of the files of these SHA-256. */
export async function readBlobs(sql: Db, organizationId: string, digests: readonly string[]): Promise<Map<string, Buffer>> {
  const rows = await sql<{ digest: string; content: Buffer }[]>`
    select digest, content from blobs where organization_id = ${organizationId} and digest = any(${[...new Set(digests)]}::text[])`;
  return new Map(rows.map((row) => [row.digest, row.content]));
}

/** The archive that a device fetches: the same bytes every time. @throws Problem `bundle_missing` (404) */
export async function readArchive(sql: Db, organizationId: string, digest: string): Promise<Buffer> {
  const { manifest, readFile } = await loadBundle(sql, organizationId, digest);
  return bundleArchive(manifest, readFile);
}

/** A bundle ready to be written somewhere: its manifest, and its files out of memory. @throws Problem `bundle_missing` */
export async function loadBundle(
  sql: Db,
  organizationId: string,
  digest: string,
): Promise<{ manifest: BundleManifest; readFile(sha256: string): Promise<Uint8Array> }> {
  const manifest = await bundleManifest(sql, organizationId, digest);
  if (manifest === undefined) throw new Problem('bundle_missing', `Cannot find bundle ${digest}`, { status: 404 });
  const blobs = await readBlobs(
    sql,
    organizationId,
    manifest.files.map((file) => file.sha256),
  );
  const readFile = async (sha256: string) => {
    const content = blobs.get(sha256);
    if (content === undefined) throw new Problem('bundle_missing', `Cannot find file ${sha256} of bundle ${digest}`);
    return content;
  };
  return { manifest, readFile };
}
