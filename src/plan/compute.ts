import { isAbout } from '../errors.ts';
import type { RolloutPolicy } from '../policy/policy.ts';
import { type PrepareDeps, prepareCommit } from '../prepare/prepare-commit.ts';
import type { ConfigError, PreparedRevision } from '../revision/revision.ts';
import type { FolderErrors } from '../revision/shared-errors.ts';
import { sharedErrors } from '../revision/shared-errors.ts';
import { stalePaths } from '../revision/stale-paths-store.ts';
import { dependenciesOf } from '../revision/store.ts';
import { checkWaves, type PolicyWarning } from '../rollout/decide/wave-check.ts';
import { policyFor } from '../rollout/release.ts';
import { loadBlockers } from '../rollout/store/load.ts';
import type { Source } from '../source/source.ts';
import { diffsOf, errorsToShow, loadSides, type PlanDiff } from './diffs.ts';
import { devicesOf, knownFolders } from './fleet-store.ts';
import { bindAfter, foldersAfter } from './load.ts';
import { type Outline, outline, type PlannedDevice } from './plan.ts';

/** The effect on a source's devices if a commit became its head. It contains no secret. */
export type Plan = Pick<Outline, 'verdict' | 'waves' | 'blockers' | 'summary'> & {
  sourceId: string;
  ref: string;
  commit: string;
  /** The prepared head that the commit is compared with. */
  base: string | null;
  errors: ConfigError[];
  /** Likely mistakes in its waves. */
  warnings: PolicyWarning[];
  /** Number of errors that are not shown. */
  moreErrors: number;
  rolloutPolicy: RolloutPolicy;
  devices: (Omit<PlannedDevice, 'from' | 'to'> & { errors: ConfigError[]; diff: number | null })[];
  /** Number of unchanged devices that are not shown. */
  moreDevices: number;
  diffs: PlanDiff[];
  moreDiffs: number;
};

export type PlanOptions = {
  /** Name below `DATA_DIR/mirrors`: one caller at a time. */
  mirror: string;
  now: Date;
  signal?: AbortSignal | undefined;
};

/** Limits of folders whose errors are shown, and of errors per folder. */
const MAX_FAULTY = 50;
const MAX_ERRORS = 10;
/** Limit of shown devices. Changed and blocked ones come first. */
const MAX_DEVICES = 20_000;

/**
 * Prepares a commit and computes its plan. The cost grows with the number of changes. Stores nothing.
 * @throws Problem as `prepareCommit`
 */
export async function computePlan(
  means: PrepareDeps,
  source: Source,
  head: { name: string; oid: string },
  { mirror, now, signal }: PlanOptions,
): Promise<Plan> {
  const { sql } = means.store;
  const { organizationId, id: sourceId, preparedCommit: base, layout, allOrNothing } = source;
  const owner = { organizationId, sourceId };
  const prepared = await prepareAgainst(means, source, head, { mirror, signal });
  const policy = policyFor(source, prepared.rolloutPolicy);
  const place = source.policyFrom === 'source' ? null : prepared.rolloutPlace;
  const [bound, known, waiting] = await Promise.all([
    devicesOf(sql, owner),
    knownFolders(sql, owner),
    loadBlockers(sql, { ...owner, policy, kind: 'revision' }),
  ]);
  const folders = foldersAfter(known, prepared);
  const devices = layout === 'fleet' ? bindAfter(bound, folders, prepared) : bound;
  const blockers = waiting.map((blocker) => ({ ...blocker, until: null }));
  const result = outline({ layout, allOrNothing, errors: prepared.errors, folders, devices, policy, blockers }, now);
  const changing = result.devices.filter(({ from, to }) => from !== to).flatMap(({ from, to }) => [from, to]);
  const faulty = result.faulty.slice(0, MAX_FAULTY);
  const digests = [...changing, ...faulty.map(({ released }) => released)].filter((digest) => digest !== null);
  const sides = await loadSides(sql, organizationId, digests, prepared);
  const diffs = await diffsOf(result.devices, sides);
  const errorsByPath = new Map<string, ConfigError[]>();
  for (const folder of faulty) errorsByPath.set(folder.path, (await errorsToShow(folder, sides)).slice(0, MAX_ERRORS));
  const all = result.faulty.map(({ path, after }) => ({ path, errors: after.errors }));
  const ofFolders = sharedErrors(
    [...errorsByPath].map(([path, errors]) => ({ path, errors })),
    all.slice(MAX_FAULTY),
  );
  const waves = checkWaves(policy, place, devices);
  const errors = [...prepared.errors.slice(0, MAX_FAULTY), ...ofFolders, ...waves.errors.slice(0, MAX_ERRORS)];
  const shown = devicesToShow(result.devices);
  return {
    sourceId,
    ref: head.name,
    commit: head.oid,
    base,
    verdict: result.verdict,
    errors,
    warnings: waves.warnings,
    moreErrors: Math.max(0, prepared.errors.length + countDistinct(all) + waves.errors.length - errors.length),
    rolloutPolicy: policy,
    summary: result.summary,
    devices: shown.map(({ from: _from, to: _to, ...device }) => ({
      ...device,
      errors: errorsByPath.get(device.path) ?? [],
      diff: diffs.byDevice.get(device.id) ?? null,
    })),
    moreDevices: result.devices.length - shown.length,
    waves: result.waves,
    blockers: result.blockers,
    diffs: diffs.shown,
    moreDiffs: diffs.more,
  };
}

/** Folders that share a file share its errors. */
function countDistinct(folders: readonly FolderErrors[]): number {
  return new Set(folders.flatMap(({ errors }) => errors.map(({ message }) => message))).size;
}

function devicesToShow(devices: readonly PlannedDevice[]): readonly PlannedDevice[] {
  if (devices.length <= MAX_DEVICES) return devices;
  const concerned = devices.filter(({ change, blockers }) => change !== 'unchanged' || blockers.length > 0);
  return concerned.slice(0, MAX_DEVICES);
}

/** For a fleet, only the folders that differ from the prepared head are read. */
async function prepareAgainst(
  means: PrepareDeps,
  source: Source,
  head: { name: string; oid: string },
  { mirror, signal }: Omit<PlanOptions, 'now'>,
): Promise<PreparedRevision> {
  const options = { mirror, signal, deadlineMs: means.config.GIT_TIMEOUT_SECONDS * 1000 };
  const { preparedCommit: base } = source;
  const prepare = async (task: Omit<Parameters<typeof prepareCommit>[2], 'ref'>, ref: string) =>
    (await prepareCommit(means, source, { ref, ...task }, options)).prepared;
  if (source.layout === 'repo' || base === null) return prepare({ commit: head.oid, previous: null }, head.name);
  const isThere = await prepare({ commit: base, previous: null, only: NO_FOLDER }, source.ref).then(
    () => true,
    (error: unknown) => {
      // The branch was rewritten, and the host no longer serves the old commit.
      if (isAbout(error, 'missing')) return false;
      throw error;
    },
  );
  const owner = { organizationId: source.organizationId, sourceId: source.id };
  const [dependencies, stale] = await Promise.all([
    dependenciesOf(means.store.sql, owner.organizationId, owner.sourceId),
    stalePaths(means.store.sql, owner),
  ]);
  const previous = isThere ? { commit: base, dependencies } : null;
  return prepare({ commit: head.oid, previous, stale: stale.paths.map(({ path }) => path) }, head.name);
}

/** A path that no folder has: the mirror fetches the commit, but no folder is read. */
const NO_FOLDER = '/';
