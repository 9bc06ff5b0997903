import type { Document } from '../document/document.ts';
import { toPointer } from '../document/document.ts';
import { isProblem } from '../git/problems.ts';
import { configError } from '../revision/config-error.ts';
import type { RevisionLimits } from '../revision/limits.ts';
import type { ConfigError, PreparedRevision, PreviousRevision, WrittenRollout } from '../revision/revision.ts';
import type { Folder, FolderChanges } from './folders.ts';
import { changedFolders, findFolders, PreviousUnreadable, readPrevious, TooManyFolders } from './folders.ts';
import type { Fleet } from './manifest/fleet.ts';
import { dependsOnDevices, FLEET_MANIFEST_NAMES, fixedLayers, parseFleet } from './manifest/fleet.ts';
import { writtenRollout } from './manifest/reader.ts';
import type { ObjectCache } from './object-cache.ts';

export type CommitTree = { objects: ObjectCache; treeOid: string; limits: RevisionLimits };

/** The folders of a fleet that have to be read. `rollout`: of fleet.yaml, as it is written there. */
export type FleetPlan = {
  extent: PreparedRevision['extent'];
  touched: Folder[];
  removed: string[];
  fleet: Fleet;
  rollout: WrittenRollout | null;
};

export type FleetPlanOptions = {
  previous: PreviousRevision;
  /** Only this folder. */
  only?: string | undefined;
  /** Folders to be read whatever changed. */
  stale: readonly string[];
  /** Folders that depend on one of these paths of the repository. null: unknown, so all folders may depend on them. */
  dependents: ((paths: readonly string[]) => Promise<string[]>) | null;
};

/** Decides which folders a commit of a fleet changes. @returns the plan, or the errors of fleet.yaml */
export async function planFleet(tree: CommitTree, options: FleetPlanOptions): Promise<FleetPlan | ConfigError[]> {
  const read = await readFleet(tree, tree.treeOid);
  if (!read.ok) return read.errors;
  const { fleet, document, file } = read;
  const missing = await missingLayers(tree, read);
  if (missing.length > 0) return missing;
  const refuse = (rule: string, detail: string): ConfigError[] => [
    fleetError(file, rule, detail, { pointer: '/devices', line: document.lineOf(['devices']) }),
  ];
  const plan: FleetPlan = { extent: 'incremental', touched: [], removed: [], fleet, rollout: writtenRollout(document, file) };
  try {
    const changes =
      options.previous === null || options.only !== undefined ? null : await changesSince(tree, fleet, options.previous, options);
    // All folders are listed only where the plan needs to know whether there are any, or which of them.
    if (changes !== null && changes.removed.length === 0 && changes.also.size === 0) return { ...plan, ...foldersOf(changes) };
    const all = await findFolders(tree.objects, tree.treeOid, fleet.devices, tree.limits);
    if (all.length === 0) return refuse('devices', `is ${JSON.stringify(fleet.devices.join(', '))}, which finds no folder`);
    if (options.only !== undefined) return { ...plan, touched: all.filter(({ path }) => path === options.only) };
    return changes === null ? { ...plan, extent: 'full', touched: all } : { ...plan, ...foldersOf(changes, all) };
  } catch (error) {
    if (error instanceof TooManyFolders) return refuse(error.rule, error.message);
    throw error;
  }
}

/** `also`: folders in which nothing changed, but something that they depend on. */
type Changes = FolderChanges & { also: ReadonlySet<string> };

function foldersOf({ touched, removed, also }: Changes, all: readonly Folder[] = []): FolderChanges {
  const known = new Set(touched.map(({ path }) => path));
  return { touched: [...touched, ...all.filter(({ path }) => also.has(path) && !known.has(path))], removed };
}

/** null: everything has to be evaluated again. */
async function changesSince(
  tree: CommitTree,
  fleet: Fleet,
  previous: { commit: string; dependencies: string[] },
  { stale, dependents }: FleetPlanOptions,
): Promise<Changes | null> {
  const { objects, treeOid, limits } = tree;
  try {
    const before = (await readPrevious(() => objects.readCommit(previous.commit))).tree;
    if (!(await saysTheSame(tree, before, fleet))) return null;
    const changed = await changedPaths(tree, before, previous.dependencies);
    if (changed.length > 0 && dependents === null) return null;
    const also = new Set([
      ...(dependsOnDevices(fleet) ? stale : []),
      ...(changed.length === 0 ? [] : ((await dependents?.(changed)) ?? [])),
    ]);
    return { ...(await changedFolders(objects, before, treeOid, fleet.devices, limits)), also };
  } catch (error) {
    if (error instanceof PreviousUnreadable) return null;
    throw error;
  }
}

async function changedPaths({ objects, treeOid }: CommitTree, before: string, paths: readonly string[]): Promise<string[]> {
  const changed: string[] = [];
  for (const path of paths) {
    const old = await readPrevious(() => objects.find(before, path));
    const now = await readPrevious(() => objects.find(treeOid, path));
    if (old?.oid !== now?.oid || old?.mode !== now?.mode) changed.push(path);
  }
  return changed;
}

/** Whether the earlier fleet.yaml has the same folders, layers and templates. The rollout policy changes no folder. */
async function saysTheSame(tree: CommitTree, before: string, fleet: Fleet): Promise<boolean> {
  if ((await changedPaths(tree, before, FLEET_MANIFEST_NAMES)).length === 0) return true;
  const old = await readPrevious(() => readFleet(tree, before));
  return old.ok && meaning(old.fleet) === meaning(fleet);
}

function meaning({ rollout: _rollout, $schema: _schema, ...fleet }: Fleet): string {
  return JSON.stringify(fleet);
}

type ReadFleet = { ok: true; fleet: Fleet; document: Document; file: string } | { ok: false; errors: ConfigError[] };

async function readFleet({ objects, limits }: CommitTree, treeOid: string): Promise<ReadFleet> {
  const names = (await objects.readTree(treeOid)).map((entry) => entry.name).filter((name) => FLEET_MANIFEST_NAMES.includes(name));
  const [file] = names;
  const refuse = (detail: string): ReadFleet => ({ ok: false, errors: [fleetError(file ?? 'fleet.yaml', 'fleet', detail)] });
  if (file === undefined) return refuse('is not there: a repository with a folder per device needs it at its root');
  if (names.length > 1) return refuse(`is one of ${names.length} fleet manifests (${names.join(', ')}), must be the only one`);
  const entry = await objects.find(treeOid, file);
  if (!entry?.mode.startsWith('100')) return refuse('is not a file');
  try {
    const parsed = parseFleet(await objects.readBlob(entry.oid, limits.maxDocumentBytes), file, limits);
    return parsed.ok ? { ok: true, fleet: parsed.manifest, document: parsed.document, file } : { ok: false, errors: parsed.errors };
  } catch (error) {
    if (isProblem(error, 'git_too_large', 'git_object_invalid')) return refuse(`cannot be read: ${error.message}`);
    throw error;
  }
}

/** A misspelt layer would silently take its files away from every device. Folders of sites may be there or not. */
async function missingLayers(
  { objects, treeOid }: CommitTree,
  { fleet, document, file }: ReadFleet & { ok: true },
): Promise<ConfigError[]> {
  const errors: ConfigError[] = [];
  for (const { folder, at } of fixedLayers(fleet)) {
    if ((await objects.find(treeOid, folder))?.mode === '040000') continue;
    const place = { pointer: toPointer(at), line: document.lineOf(at), actual: folder };
    errors.push(fleetError(file, 'layer', `is ${JSON.stringify(folder)}, which is no folder of the repository`, place));
  }
  return errors;
}

function fleetError(
  file: string,
  rule: string,
  detail: string,
  place: { pointer?: string; line?: number; actual?: unknown } = {},
): ConfigError {
  return configError({ code: 'fleet', file, rule, detail, ...place });
}
