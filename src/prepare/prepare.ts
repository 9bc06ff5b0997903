import { LRUCache } from 'lru-cache';
import { isProblem } from '../errors.ts';
import type { CommitInfo, ObjectSource } from '../git/pack/object-source.ts';
import { configError } from '../revision/config-error.ts';
import type { RevisionLimits } from '../revision/limits.ts';
import { defaultRevisionLimits } from '../revision/limits.ts';
import type { Layout, PreparedRevision, PreviousRevision } from '../revision/revision.ts';
import type { FolderDeps, ReadConfig } from './folder/deps.ts';
import { documentsByFolder } from './folder/platform-document.ts';
import type { FolderOutcome } from './folder/prepare-folder.ts';
import { prepareFolder } from './folder/prepare-folder.ts';
import type { Folder } from './folders.ts';
import type { LayerDeps } from './layer/layer.ts';
import { dependsOnDevices, isLayered } from './manifest/fleet.ts';
import { Budget, type SlowWatch } from './meter/budget.ts';
import { objectCache } from './object-cache.ts';
import type { CommitTree, FleetPlan } from './plan-fleet.ts';
import { planFleet } from './plan-fleet.ts';
import type { Queries } from './queries.ts';
import type { BuiltinSchemas } from './schema/builtin.ts';
import { loadBuiltinSchemas } from './schema/builtin.ts';
import { schemaLoader } from './schema/loader.ts';

export type PrepareOptions = {
  commit: string;
  layout: Layout;
  previous: PreviousRevision;
  /** Only this folder of a fleet is read, whatever changed: for a preview that is not stored. */
  only?: string | undefined;
  /** Folders of a fleet that are read whatever changed, where the fleet depends on devices: something is new with theirs. */
  stale?: readonly string[] | undefined;
  /** For templates. Default: empty. */
  sourceName?: string | undefined;
  /** Default: no device is known, and what depends on something that changed may be all. */
  queries?: Queries | undefined;
  /** Names where everything in the bundles came from. */
  provenance?: boolean | undefined;
  limits?: RevisionLimits;
  /** After it the caller gives up. Default: never. */
  limitMs?: number | undefined;
  /** Learns of processor time that others may notice. */
  watch?: SlowWatch | undefined;
  /** Stops between two reads. Validation itself is not interrupted: run it where it can be killed. */
  signal?: AbortSignal;
  /** Default: those of this version, in `schemas/`. */
  builtinSchemas?: BuiltinSchemas;
};

/**
 * Reads a commit, builds the bundle of every device folder in it and validates it. Whatever is wrong with a folder becomes the verdict of
 * that folder; what is wrong with `fleet.yaml` or the whole becomes an error of the revision. Cost grows with what changed since `previous`.
 * @throws Problem `git_object_missing` when the source has not all objects, `git_object_invalid` for the commit or its root tree;
 * the signal's reason
 */
export async function prepareRevision(source: ObjectSource, options: PrepareOptions): Promise<PreparedRevision> {
  const limits = options.limits ?? defaultRevisionLimits;
  const objects = objectCache(source, limits, options.signal ?? new AbortController().signal);
  const commit = await objects.readCommit(options.commit);
  const revision = emptyRevision(commit);
  const tree: CommitTree = { objects, treeOid: commit.tree, limits };
  try {
    const plan = options.layout === 'repo' ? repoPlan(commit.tree) : await fleetPlan(tree, options);
    if (Array.isArray(plan)) return { ...revision, errors: plan };
    const deps = await folderDeps(plan, tree, options);
    const outcomes = await inGroups(plan.touched, (folder) => prepareFolder(deps, folder));
    collect(revision, outcomes);
    const rollout = options.layout === 'repo' ? (outcomes[0]?.rollout ?? null) : plan.rollout;
    const perDevice = plan.fleet !== null && dependsOnDevices(plan.fleet);
    const { policy: rolloutPolicy = null, place: rolloutPlace = null } = rollout ?? {};
    const devicePatterns = plan.fleet?.devices ?? null;
    return { ...revision, extent: plan.extent, removed: plan.removed, rolloutPolicy, rolloutPlace, perDevice, devicePatterns };
  } catch (error) {
    if (!isProblem(error, 'revision_too_large')) throw error;
    return {
      ...revision,
      errors: [
        configError({ code: 'too_large', file: '', rule: 'maxRevisionBytes', limit: limits.maxRevisionBytes, detail: error.message }),
      ],
    };
  }
}

function emptyRevision(commit: CommitInfo): PreparedRevision {
  return {
    commit,
    errors: [],
    extent: 'full',
    paths: [],
    removed: [],
    blobs: new Map(),
    rolloutPolicy: null,
    rolloutPlace: null,
    perDevice: false,
    devicePatterns: null,
  };
}

type Plan = Omit<FleetPlan, 'fleet'> & { fleet: FleetPlan['fleet'] | null };

function repoPlan(treeOid: string): Plan {
  const touched: Folder[] = [{ path: '', treeOid, faults: [] }];
  return { extent: 'full', touched, removed: [], fleet: null, rollout: null };
}

async function fleetPlan(tree: CommitTree, { previous, only, stale = [], queries }: PrepareOptions) {
  return planFleet(tree, { previous, only, stale, dependents: queries?.dependents ?? null });
}

/** Manifests, documents and templates that are kept: those of shared layers come again with every device. */
const MAX_KEPT = 2_000;

async function folderDeps(plan: Plan, { objects, treeOid, limits }: CommitTree, options: PrepareOptions): Promise<FolderDeps> {
  const builtins = options.builtinSchemas ?? (await loadBuiltinSchemas());
  const budget = new Budget(limits, options.limitMs, options.watch);
  return {
    objects,
    limits,
    budget,
    schemas: schemaLoader({ objects, rootTreeOid: treeOid, builtins, limits, budget }),
    manifests: new LRUCache<string, ReadConfig>({ max: MAX_KEPT }),
    schemaFolder: plan.fleet?.schemas ?? null,
    layers: await layerDeps(plan, { objects, treeOid, limits }, options),
    documents: await documentsOf(plan, options),
    provenance: options.provenance ?? false,
  };
}

/** A commit that changes no folder asks for nothing. */
async function documentsOf({ touched }: Plan, { queries }: PrepareOptions): Promise<FolderDeps['documents']> {
  if (queries === undefined || touched.length === 0) return new Map();
  return documentsByFolder(await queries.adaptersOf(touched.map(({ path }) => path)));
}

async function layerDeps(
  { fleet, touched }: Plan,
  { objects, treeOid, limits }: CommitTree,
  { queries, sourceName = '' }: PrepareOptions,
): Promise<LayerDeps | null> {
  if (fleet === null || !isLayered(fleet)) return null;
  const paths = touched.map(({ path }) => path);
  const isAsked = dependsOnDevices(fleet) && paths.length > 0;
  return {
    objects,
    limits,
    fleet,
    rootTreeOid: treeOid,
    sourceName,
    devices: (isAsked ? await queries?.devicesOf(paths) : undefined) ?? new Map(),
    shared: new Map(),
    documents: new LRUCache({ max: MAX_KEPT }),
    templates: new LRUCache({ max: MAX_KEPT }),
    merged: new LRUCache({ max: MAX_KEPT }),
  };
}

/** Reads of a group wait for the disk or the native engine together. */
const GROUP_SIZE = 16;

async function inGroups<In, Out>(items: readonly In[], run: (item: In) => Promise<Out>): Promise<Out[]> {
  const results: Out[] = [];
  for (let at = 0; at < items.length; at += GROUP_SIZE) results.push(...(await Promise.all(items.slice(at, at + GROUP_SIZE).map(run))));
  return results;
}

function collect(revision: PreparedRevision, outcomes: FolderOutcome[]): void {
  for (const { prepared, blobs } of outcomes) {
    revision.paths.push(prepared);
    for (const [sha256, bytes] of blobs) revision.blobs.set(sha256, bytes);
  }
}
