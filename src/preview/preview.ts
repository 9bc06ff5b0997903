import { setImmediate } from 'node:timers/promises';
import { createSerial } from '../async/serial.ts';
import { bundleManifest, bundleSecrets, readBlobs } from '../bundle/store.ts';
import type { Config } from '../config.ts';
import type { SecretBox } from '../crypto/secret-box.ts';
import type { Sql } from '../db/connect.ts';
import type { Device } from '../device/device.ts';
import { conflict, isAbout, notFound, Problem } from '../errors.ts';
import type { Store } from '../event/transact.ts';
import type { GitHosts } from '../git/hosts.ts';
import type { AddressGuard } from '../git/http/address-guard.ts';
import { listRefs, refPrefixes, resolveRef } from '../git/protocol/refs.ts';
import { checkRefName, isOid, parseRemote } from '../git/remote.ts';
import { type PrepareDeps, prepareCommit } from '../prepare/prepare-commit.ts';
import type { ConfigError, FolderProvenance, PreparedRevision } from '../revision/revision.ts';
import { preparedPath, revisionOf } from '../revision/store.ts';
import { openCredentials } from '../source/credentials.ts';
import type { Source } from '../source/source.ts';
import { sourceOf } from '../source/store.ts';
import { type BundleSide, type Comparison, compareBundles, selectFiles } from './compare-bundles.ts';

export type Preview = Comparison & {
  deviceId: string;
  sourceId: string;
  ref: string;
  commit: string;
  /** The device's folder in the repository. */
  path: string;
  /** `missing`: the commit has no such folder, and the device would keep its current bundle. */
  verdict: 'valid' | 'invalid' | 'missing';
  bundle: string | null;
  /** The bundle that the device reports, else the one that it last confirmed. */
  running: string | null;
  /** Hooks, health check or confirm timeout differ. */
  applyChanged: boolean;
  /** Not all files are shown. */
  truncated: boolean;
  /** null if not requested, or if there is no valid bundle. */
  provenance: FolderProvenance | null;
};

export type PreviewOptions = {
  /** Branch, tag or commit. Default: the source's prepared head. */
  ref?: string | undefined;
  /** Include the origin of every value. */
  provenance?: boolean;
};

export type Previews = {
  /**
   * Computes the bundle that the device would receive with its current properties. Stores nothing.
   * @throws Problem `not_bound`, `source_not_synced`, `preview_busy`; `ref_missing`, `repository_empty` and `commit_missing` as 404, `invalid_ref` as
   * 400, other faults of Git as 502
   */
  show(device: Device, options?: PreviewOptions): Promise<Preview>;
};

/** The result of a commit for the device's folder, either stored or prepared for this preview. */
type Candidate = Pick<Preview, 'ref' | 'commit' | 'verdict' | 'bundle' | 'provenance'> & {
  side: BundleSide | null;
  errors: ConfigError[];
  readContents(digests: readonly string[]): Promise<ReadonlyMap<string, Uint8Array>>;
};

export function createPreviews(services: PrepareDeps): Previews {
  const alone = oneAtATime();
  return {
    show: async (device, { ref, provenance = false } = {}) => {
      const { organizationId, sourceId, path } = device;
      if (sourceId === null || path === null) throw conflict('not_bound', `Cannot preview device "${device.id}": it is bound to no source`);
      const source = await sourceOf(services.store.sql, organizationId, sourceId);
      if (source === undefined) throw notFound('source', sourceId);
      const head = ref === undefined ? await atHead(services, source, path) : null;
      if (head !== null && (!provenance || head.bundle === null)) return compose(services, device, { sourceId, path }, head);
      // Stored bundles have no provenance.
      const target = { path, ref: ref ?? head?.commit ?? source.ref, provenance };
      const candidate = await atRef(services, alone, source, target);
      return compose(services, device, { sourceId, path }, head === null ? candidate : { ...candidate, ref: head.ref });
    },
  };
}

async function compose(
  { store: { sql } }: { store: Store },
  device: Device,
  binding: { sourceId: string; path: string },
  candidate: Candidate,
): Promise<Preview> {
  const { ref, commit, verdict, bundle, side, errors, provenance } = candidate;
  const running = device.reportedBundle ?? device.goodBundle;
  const present = running === null ? null : await storedSide(sql, device.organizationId, running);
  const selection = selectFiles(side, present);
  const stored = await readBlobs(sql, device.organizationId, present === null ? [] : selection.contents);
  const coming = side === null ? [] : await candidate.readContents(selection.contents.filter((digest) => !stored.has(digest)));
  const sides = { next: side, running: present, errors };
  const comparison = await compareBundles(sides, selection, new Map([...stored, ...coming]), () => setImmediate());
  const applyChanged = side !== null && present !== null && JSON.stringify(side.manifest.apply) !== JSON.stringify(present.manifest.apply);
  const { truncated } = selection;
  return { deviceId: device.id, ...binding, ref, commit, verdict, bundle, running, applyChanged, truncated, provenance, ...comparison };
}

async function storedSide(sql: Sql, organizationId: string, digest: string): Promise<BundleSide | null> {
  const manifest = await bundleManifest(sql, organizationId, digest);
  return manifest === undefined ? null : { manifest, secretPointers: await bundleSecrets(sql, organizationId, digest) };
}

async function atHead({ store: { sql } }: { store: Store }, source: Source, path: string): Promise<Candidate> {
  const { organizationId, ref } = source;
  const readContents = (digests: readonly string[]) => readBlobs(sql, organizationId, digests);
  if (source.headCommit !== null && source.headCommit !== source.preparedCommit && source.revisionId !== null) {
    const revision = await revisionOf(sql, organizationId, source.revisionId);
    if (revision !== undefined && revision.errors.length > 0)
      return {
        ref,
        commit: revision.commit,
        verdict: 'invalid',
        bundle: null,
        side: null,
        errors: revision.errors,
        provenance: null,
        readContents,
      };
  }
  const commit = source.preparedCommit;
  if (commit === null)
    throw conflict(
      'source_not_synced',
      `Cannot preview: source "${source.name}" has no prepared commit yet (${source.errorDetail ?? source.status})`,
    );
  const seen = await preparedPath(sql, organizationId, source.id, path);
  const { verdict = 'missing', bundle = null, errors = [] } = seen ?? {};
  const side = bundle === null ? null : await storedSide(sql, organizationId, bundle);
  return { ref, commit, verdict, bundle, side, errors, provenance: null, readContents };
}

/** The ref and folder to preview. */
type Target = { path: string; ref: string; provenance: boolean };

async function atRef(services: PrepareDeps, alone: OneAtATime, source: Source, target: Target): Promise<Candidate> {
  try {
    const head = await resolveAtRemote(services, source, target.ref);
    if (head.oid === source.preparedCommit && !target.provenance)
      return { ...(await atHead(services, source, target.path)), ref: head.name };
    const prepared = await alone(source.id, () => prepareAt(services, source, target, head));
    return candidateOf(prepared, target.path, head);
  } catch (error) {
    throw error instanceof Problem ? asAnswer(error) : error;
  }
}

const LIST_TIMEOUT_MS = 15_000;

export async function resolveAtRemote(
  { hosts, guard, box, config }: { hosts: GitHosts; guard: AddressGuard; box: SecretBox; config: Config },
  source: Source,
  given: string,
): Promise<{ name: string; oid: string }> {
  const ref = checkRefName(given);
  if (isOid(ref)) return { name: ref, oid: ref };
  const remote = parseRemote(source.url, { allowHttp: config.ALLOW_HTTP_GIT_HOSTS, allowLocal: config.ALLOW_LOCAL_SOURCES });
  const call = { prefixes: refPrefixes(ref), credentials: openCredentials(box, source), guard, deadlineMs: LIST_TIMEOUT_MS };
  return resolveRef(await hosts.run(remote, source, () => listRefs(remote, call)), ref);
}

async function prepareAt(
  services: PrepareDeps,
  source: Source,
  { path, provenance }: Target,
  head: { name: string; oid: string },
): Promise<PreparedRevision> {
  const task = { ref: head.name, commit: head.oid, previous: null, only: path, provenance };
  // Only the controller may write to the source's own mirror.
  const options = { mirror: `${source.id}.preview`, deadlineMs: services.config.GIT_TIMEOUT_SECONDS * 1000 };
  return (await prepareCommit(services, source, task, options)).prepared;
}

function candidateOf(prepared: PreparedRevision, path: string, head: { name: string; oid: string }): Candidate {
  const found = prepared.paths.find((candidate) => candidate.path === path);
  const broken = prepared.errors.length > 0;
  const bundle = found?.bundle ?? null;
  return {
    ref: head.name,
    commit: head.oid,
    verdict: broken ? 'invalid' : (found?.verdict ?? 'missing'),
    bundle: bundle?.digest ?? null,
    side: bundle === null ? null : { manifest: bundle.manifest, secretPointers: found?.secretPointers ?? {} },
    errors: broken ? prepared.errors : (found?.errors ?? []),
    provenance: found?.provenance ?? null,
    readContents: async (digests) => new Map(digests.flatMap((digest) => pairOf(digest, prepared.blobs.get(digest)))),
  };
}

function pairOf(digest: string, bytes: Uint8Array | undefined): [string, Uint8Array][] {
  return bytes === undefined ? [] : [[digest, bytes]];
}

/** Maps a fault of the remote to 404 or 502, since the request is not at fault. */
export function asAnswer(problem: Problem): Problem {
  if (isAbout(problem, 'request')) return problem;
  const { code, message, retry, cause } = problem;
  return new Problem({ received: code }, message, { status: isAbout(problem, 'missing') ? 404 : 502, retry, cause });
}

export type OneAtATime = <T>(key: string, work: () => Promise<T>) => Promise<T>;

/** Limit of waiting previews per source. */
const MAX_WAITING = 8;

/** Runs one preview per source at a time, since a mirror has one writer. Rejects a preview if `MAX_WAITING` others wait. */
export function oneAtATime(): OneAtATime {
  const serial = createSerial();
  return async (key, work) => {
    if (serial.size(key) > MAX_WAITING)
      throw new Problem('preview_busy', `Cannot preview now: ${MAX_WAITING} previews of the source wait already`, { retryAfterSeconds: 5 });
    return serial.run(key, work);
  };
}
