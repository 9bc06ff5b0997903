import { chunked } from '../db/chunks.ts';
import type { Db } from '../db/connect.ts';
import { Problem } from '../errors.ts';
import type { PreparedRevision } from '../revision/revision.ts';
import { BundleManifest } from '../wire/bundle.ts';

export async function bundleManifest(sql: Db, organizationId: string, digest: string): Promise<BundleManifest | undefined> {
  const [manifest] = await bundleManifests(sql, [{ organizationId, digest }]);
  return manifest;
}

export type BundleKey = { organizationId: string; digest: string };

/** Manifests of these bundles, in their order. */
export async function bundleManifests(sql: Db, keys: readonly BundleKey[]): Promise<(BundleManifest | undefined)[]> {
  const rows = await sql<(BundleKey & { manifest: unknown })[]>`
    select b.organization_id as "organizationId", b.digest, b.manifest
    from ${wanted(sql, keys)} k
    join bundles b on b.organization_id = k.organization_id and b.digest = k.digest`;
  const found = new Map(rows.map((row) => [nameOf(row), BundleManifest.parse(row.manifest)]));
  return keys.map((key) => found.get(nameOf(key)));
}

/** Bytes of the files of these SHA-256, in their order. */
export async function blobsOf(sql: Db, keys: readonly BundleKey[]): Promise<(Buffer | undefined)[]> {
  const rows = await sql<(BundleKey & { content: Buffer })[]>`
    select b.organization_id as "organizationId", b.digest, b.content
    from ${wanted(sql, keys)} k
    join blobs b on b.organization_id = k.organization_id and b.digest = k.digest`;
  const found = new Map(rows.map((row) => [nameOf(row), row.content]));
  return keys.map((key) => found.get(nameOf(key)));
}

/** Selects each key once, even if it occurs several times. */
function wanted(sql: Db, keys: readonly BundleKey[]) {
  return sql`(
    select distinct * from unnest(${keys.map((key) => key.organizationId)}::uuid[], ${keys.map((key) => key.digest)}::text[]) as k (organization_id, digest))`;
}

function nameOf({ organizationId, digest }: BundleKey): string {
  return `${organizationId} ${digest}`;
}

/** Returns the JSON pointers of values that a schema marks secret, by the file's path on the device. */
export async function bundleSecrets(sql: Db, organizationId: string, digest: string): Promise<Record<string, string[]>> {
  const [row] = await sql<{ pointers: Record<string, string[]> }[]>`
    select secret_pointers as pointers from bundles where organization_id = ${organizationId} and digest = ${digest}`;
  return row?.pointers ?? {};
}

/** Bytes of the files of these SHA-256. */
export async function readBlobs(sql: Db, organizationId: string, digests: readonly string[]): Promise<Map<string, Buffer>> {
  const contents = await blobsOf(
    sql,
    digests.map((digest) => ({ organizationId, digest })),
  );
  return new Map(digests.flatMap((digest, index) => (contents[index] === undefined ? [] : [[digest, contents[index]]])));
}

/** Loads a bundle's manifest and all its files into memory. @throws Problem `bundle_missing` */
export async function loadBundle(
  sql: Db,
  organizationId: string,
  digest: string,
): Promise<{ manifest: BundleManifest; readFile(sha256: string): Promise<Uint8Array> }> {
  const manifest = await bundleManifest(sql, organizationId, digest);
  if (manifest === undefined) throw new Problem('bundle_missing', `Cannot find bundle ${digest}`);
  const blobs = await readBlobs(
    sql,
    organizationId,
    manifest.files.map((file) => file.sha256),
  );
  const readFile = async (sha256: string) => {
    const content = blobs.get(sha256);
    if (content === undefined) throw new Problem('bundle_missing', `Cannot find file ${sha256} of bundle ${digest}`, { status: 500 });
    return content;
  };
  return { manifest, readFile };
}

/** Returns manifests and secrets (as `bundleSecrets`) of these bundles, as far as they are stored. */
export async function bundlesWithSecrets(
  sql: Db,
  organizationId: string,
  digests: readonly string[],
): Promise<{ digest: string; manifest: BundleManifest; secretPointers: Record<string, string[]> }[]> {
  const rows = await sql<{ digest: string; manifest: unknown; secretPointers: Record<string, string[]> }[]>`
    select digest, manifest, secret_pointers as "secretPointers" from bundles
    where organization_id = ${organizationId} and digest = any(${[...digests]}::text[])`;
  return rows.map((row) => ({ ...row, manifest: BundleManifest.parse(row.manifest) }));
}

/** Stores the file contents and bundles that the organization does not have yet. */
export async function storeBundles(tx: Db, organizationId: string, prepared: PreparedRevision): Promise<void> {
  const digests = [...prepared.blobs.keys()];
  const known = new Set(
    (
      await tx<
        { digest: string }[]
      >`select digest from blobs where organization_id = ${organizationId} and digest = any(${digests}::text[])`
    ).map((row) => row.digest),
  );
  const missing = digests.filter((digest) => !known.has(digest));
  for (const chunk of chunked(missing)) {
    await tx`
      insert into blobs ${tx(chunk.map((digest) => ({ organization_id: organizationId, digest, content: Buffer.from(prepared.blobs.get(digest) ?? []) })))}
      on conflict do nothing`;
  }
  const bundles = new Map(
    prepared.paths.flatMap((path) =>
      path.bundle === null ? [] : [[path.bundle.digest, { ...path.bundle, secrets: path.secretPointers ?? {} }] as const],
    ),
  );
  for (const chunk of chunked([...bundles.values()])) {
    await tx`
      insert into bundles (organization_id, digest, manifest, size, secret_pointers)
      select ${organizationId}, digest, manifest::jsonb, size, secrets::jsonb
      from unnest(${chunk.map((b) => b.digest)}::text[], ${chunk.map((b) => JSON.stringify(b.manifest))}::text[], ${chunk.map((b) => b.size)}::bigint[],
                  ${chunk.map((b) => JSON.stringify(b.secrets))}::text[]) as b (digest, manifest, size, secrets)
      on conflict (organization_id, digest) do update set secret_pointers = excluded.secret_pointers
        where bundles.secret_pointers is distinct from excluded.secret_pointers`;
  }
}
