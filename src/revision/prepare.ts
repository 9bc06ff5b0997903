import { Problem } from '../errors.ts';
import type { ObjectSource } from '../git/object-source.ts';
import { isProblem } from '../git/problems.ts';
import { configError } from './config-error.ts';
import type { FolderContext } from './folder-work.ts';
import type { Folder, FolderChanges } from './folders.ts';
import { changedFolders, findFolders, PreviousUnreadable, readPrevious, TooManyFolders } from './folders.ts';
import type { RevisionLimits } from './limits.ts';
import { defaultRevisionLimits } from './limits.ts';
import type { Fleet } from './manifest/fleet.ts';
import { FLEET_MANIFEST_NAMES, parseFleet } from './manifest/fleet.ts';
import type { ObjectCache } from './object-cache.ts';
import { objectCache } from './object-cache.ts';
import type { FolderOutcome } from './prepare-folder.ts';
import { prepareFolder } from './prepare-folder.ts';
import type { ConfigError, Layout, PreparedRevision, PreviousRevision } from './revision.ts';
import type { BuiltinSchemas } from './schema/builtin.ts';
import { loadBuiltinSchemas } from './schema/builtin.ts';
import { schemaLoader } from './schema/loader.ts';

export type PrepareOptions = {
  commit: string;
  layout: Layout;
  previous: PreviousRevision;
  /** Only this folder of a fleet is read, whatever changed: for a look ahead that is not stored. */
  only?: string | undefined;
  limits?: RevisionLimits;
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
  const builtins = options.builtinSchemas ?? (await loadBuiltinSchemas());
  const commit = await objects.readCommit(options.commit);
  const revision: PreparedRevision = { commit, errors: [], extent: 'full', paths: [], removed: [], blobs: new Map() };
  const scope: Scope = { objects, treeOid: commit.tree, limits };
  try {
    const plan = options.layout === 'repo' ? repoPlan(commit.tree) : await fleetPlan(scope, options.previous, options.only);
    if (Array.isArray(plan)) return { ...revision, errors: plan };
    const schemas = schemaLoader({ objects, rootTreeOid: commit.tree, builtins, limits });
    const context: FolderContext = { objects, limits, schemas, schemaFolder: plan.fleet?.schemas ?? null };
    const outcomes = await inGroups(plan.touched, (folder) => prepareFolder(context, folder));
    collect(revision, outcomes);
    return { ...revision, extent: plan.extent, removed: plan.removed };
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'revision_too_large') throw error;
    return {
      ...revision,
      errors: [
        configError({ code: 'too_large', file: '', rule: 'maxRevisionBytes', limit: limits.maxRevisionBytes, detail: error.message }),
      ],
    };
  }
}

type Scope = { objects: ObjectCache; treeOid: string; limits: RevisionLimits };

/** Which folders are to be read. */
type Plan = { extent: PreparedRevision['extent']; touched: Folder[]; removed: string[]; fleet: Fleet | null };

function repoPlan(treeOid: string): Plan {
  return { extent: 'full', touched: [{ path: '', treeOid, faults: [] }], removed: [], fleet: null };
}

async function fleetPlan(scope: Scope, previous: PreviousRevision, only: string | undefined): Promise<Plan | ConfigError[]> {
  const read = await readFleet(scope);
  if (!read.ok) return read.errors;
  const patterns = read.fleet.devices;
  const found = await foldersOf(scope, patterns, only === undefined ? previous : null);
  if (found instanceof TooManyFolders) return [fleetError(read.file, found.rule, found.message, '/devices', read.line)];
  const { changes, all } = found;
  if (all === null) return { extent: 'incremental', touched: [], removed: [], ...changes, fleet: read.fleet };
  const refuse = (rule: string, detail: string): ConfigError[] => [fleetError(read.file, rule, detail, '/devices', read.line)];
  if (all.length === 0) return refuse('devices', `is ${JSON.stringify(patterns.join(', '))}, which finds no folder`);
  if (only !== undefined)
    return { extent: 'incremental', touched: all.filter(({ path }) => path === only), removed: [], fleet: read.fleet };
  if (changes !== null) return { extent: 'incremental', ...changes, fleet: read.fleet };
  return { extent: 'full', touched: all, removed: [], fleet: read.fleet };
}

type FoundFolders = { changes: FolderChanges | null; all: Folder[] | null };

/** All folders only where it has to be known whether there are any: not while none went away. */
async function foldersOf(scope: Scope, patterns: readonly string[], previous: PreviousRevision): Promise<FoundFolders | TooManyFolders> {
  try {
    const changes = previous === null ? null : await changesSince(scope, previous, patterns);
    if (changes !== null && changes.removed.length === 0) return { changes, all: null };
    return { changes, all: await findFolders(scope.objects, scope.treeOid, patterns, scope.limits) };
  } catch (error) {
    if (error instanceof TooManyFolders) return error;
    throw error;
  }
}

/** null: everything has to be evaluated again. */
async function changesSince(scope: Scope, previous: { commit: string; dependencies: string[] }, patterns: readonly string[]) {
  const { objects, treeOid } = scope;
  try {
    const before = (await readPrevious(() => objects.readCommit(previous.commit))).tree;
    for (const path of [...FLEET_MANIFEST_NAMES, ...previous.dependencies]) {
      const old = await readPrevious(() => objects.find(before, path));
      const now = await readPrevious(() => objects.find(treeOid, path));
      if (old?.oid !== now?.oid || old?.mode !== now?.mode) return null;
    }
    return await changedFolders(objects, before, treeOid, patterns, scope.limits);
  } catch (error) {
    if (error instanceof PreviousUnreadable) return null;
    throw error;
  }
}

/** `line` is that of `devices`. */
type ReadFleet = { ok: true; fleet: Fleet; file: string; line: number } | { ok: false; errors: ConfigError[] };

async function readFleet(scope: Scope): Promise<ReadFleet> {
  const names = (await scope.objects.readTree(scope.treeOid))
    .map((entry) => entry.name)
    .filter((name) => FLEET_MANIFEST_NAMES.includes(name));
  const [file] = names;
  const refuse = (detail: string): ReadFleet => ({ ok: false, errors: [fleetError(file ?? 'fleet.yaml', 'fleet', detail)] });
  if (file === undefined) return refuse('is not there: a repository with a folder per device needs it at its root');
  if (names.length > 1) return refuse(`is one of ${names.length} fleet manifests (${names.join(', ')}), must be the only one`);
  const entry = await scope.objects.find(scope.treeOid, file);
  if (!entry?.mode.startsWith('100')) return refuse('is not a file');
  try {
    const parsed = parseFleet(await scope.objects.readBlob(entry.oid, scope.limits.maxDocumentBytes), file, scope.limits);
    return parsed.ok
      ? { ok: true, fleet: parsed.manifest, file, line: parsed.document.lineOf(['devices']) }
      : { ok: false, errors: parsed.errors };
  } catch (error) {
    if (isProblem(error, 'git_too_large', 'git_object_invalid')) return refuse(`cannot be read: ${error.message}`);
    throw error;
  }
}

function fleetError(file: string, rule: string, detail: string, pointer = '', line?: number): ConfigError {
  return configError({ code: 'fleet', file, line, pointer, rule, detail });
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
