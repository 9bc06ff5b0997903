import { LRUCache } from 'lru-cache';
import PQueue from 'p-queue';
import { pause } from '../async/pause.ts';
import { readBlobs } from '../bundle/store.ts';
import type { Sql } from '../db/connect.ts';
import { deviceById } from '../device/store.ts';
import { type Document, decodeText, syntaxOf, toPointer } from '../document/document.ts';
import { parseDocument } from '../document/parse.ts';
import type { Log } from '../log.ts';
import { loadSides } from '../plan/diffs.ts';
import type { Previews } from '../preview/preview.ts';
import { defaultRevisionLimits } from '../revision/limits.ts';
import type { FolderProvenance } from '../revision/revision.ts';
import { revisionOf } from '../revision/store.ts';
import type { BundleFile } from '../wire/bundle.ts';
import type { CommitPlace } from './attention.ts';
import type { CauseRow } from './store/failures.ts';

/** Finds where the commit that devices failed on is to be fixed: the file of the repository, through layers and templates, and its line. */
export type Places = (organizationId: string, rows: readonly CauseRow[]) => Promise<(row: CauseRow) => CommitPlace | null>;

type Deps = { sql: Sql; previews: Previews; log: Log };

/** An answer waits this long; the next one has the places that were found meanwhile. */
const PATIENCE_MS = 1_000;
const CAPACITY = 2_000;
/** A repository that cannot be read now is asked again after this time. */
const RETRY_MS = 60_000;
const MAX_WAITING = 50;

export function createPlaces(deps: Deps): Places {
  const known = new LRUCache<string, { place: CommitPlace | null }>({ max: CAPACITY });
  const pending = new Map<string, Promise<void>>();
  const queue = new PQueue({ concurrency: 1 });
  const find = async (organizationId: string, row: CauseRow) => {
    try {
      known.set(row.deploymentId, { place: await placeOf(deps, organizationId, row) });
    } catch (err) {
      known.set(row.deploymentId, { place: null }, { ttl: RETRY_MS });
      deps.log.warn({ deviceId: row.deviceId, err }, 'failed to find the file that a rollout failed on; the cause is shown without it');
    } finally {
      pending.delete(row.deploymentId);
    }
  };
  return async (organizationId, rows) => {
    for (const row of rows)
      if (!known.has(row.deploymentId) && !pending.has(row.deploymentId) && pending.size < MAX_WAITING)
        pending.set(
          row.deploymentId,
          queue.add(() => find(organizationId, row)),
        );
    const waited = rows.flatMap(({ deploymentId }) => pending.get(deploymentId) ?? []);
    const ending = new AbortController();
    if (waited.length > 0) await Promise.race([Promise.all(waited), pause(PATIENCE_MS, ending.signal)]);
    ending.abort();
    return ({ deploymentId }) => known.get(deploymentId)?.place ?? null;
  };
}

async function placeOf({ sql, previews }: Deps, organizationId: string, row: CauseRow): Promise<CommitPlace | null> {
  const { revisionId } = row;
  const changed = await blamedFile(sql, organizationId, row);
  if (revisionId === null || changed === undefined) return null;
  const [revision, device] = await Promise.all([
    revisionOf(sql, organizationId, revisionId),
    deviceById(sql, organizationId, row.deviceId),
  ]);
  if (revision === undefined || device === undefined || device.sourceId !== revision.sourceId) return null;
  const { provenance } = await previews.show(device, { ref: revision.commit, provenance: true });
  const at = originOf(provenance, changed.file.path, await firstChange(sql, organizationId, changed));
  return at === null ? null : { revisionId, commit: revision.commit, ...at };
}

type Changed = { file: BundleFile; before: BundleFile | undefined };

/** The changed file that the failure names; else the only changed one. */
async function blamedFile(sql: Sql, organizationId: string, row: CauseRow): Promise<Changed | undefined> {
  const { bundle, previousBundle, detail } = row;
  const sides = await loadSides(sql, organizationId, [bundle, ...(previousBundle === null ? [] : [previousBundle])]);
  const old = new Map((previousBundle === null ? [] : (sides.side(previousBundle)?.manifest.files ?? [])).map((file) => [file.path, file]));
  const changed = (sides.side(bundle)?.manifest.files ?? [])
    .map((file) => ({ file, before: old.get(file.path) }))
    .filter(({ file, before }) => file.sha256 !== before?.sha256 || file.mode !== before.mode);
  const named = changed.filter(({ file }) => detail.includes(file.path.split('/').at(-1) ?? file.path));
  return named.length > 0 ? named[0] : changed.length === 1 ? changed[0] : undefined;
}

/** `line` is 1-based; `pointer` is that of the first changed value, where the file is JSON or YAML. */
type Change = { line: number; pointer: string | null };

async function firstChange(sql: Sql, organizationId: string, { file, before }: Changed): Promise<Change | null> {
  const contents = await readBlobs(sql, organizationId, [file.sha256, ...(before === undefined ? [] : [before.sha256])]);
  const [now, old] = [contents.get(file.sha256), before === undefined ? undefined : contents.get(before.sha256)];
  const text = now === undefined ? null : decodeText(now);
  if (now === undefined || text === null) return null;
  const lines = text.split('\n');
  const oldLines = (old === undefined ? '' : (decodeText(old) ?? '')).split('\n');
  const index = lines.findIndex((line, at) => line !== oldLines[at]);
  return { line: (index === -1 ? lines.length - 1 : index) + 1, pointer: changedPointer(file.path, now, old) };
}

function changedPointer(path: string, now: Uint8Array, old: Uint8Array | undefined): string | null {
  const next = documentOf(path, now);
  const values = valuesOf(old === undefined ? null : documentOf(path, old));
  return [...valuesOf(next)].find(([pointer, value]) => values.get(pointer) !== value)?.[0] ?? null;
}

function documentOf(path: string, bytes: Uint8Array): Document | null {
  const syntax = syntaxOf(path);
  const parsed = syntax === null ? null : parseDocument(bytes, syntax, defaultRevisionLimits);
  return parsed?.ok ? parsed.document : null;
}

function valuesOf(document: Document | null): Map<string, unknown> {
  const scalars = document?.spans().filter(({ kind }) => kind !== 'collection') ?? [];
  return new Map(scalars.map(({ path, value }) => [toPointer(path), value]));
}

/** A line is known in a file that reaches the device as it is, and of each value that layers merged. */
function originOf(provenance: FolderProvenance | null, path: string, change: Change | null): Pick<CommitPlace, 'file' | 'line'> | null {
  const origin = provenance?.files.find((file) => file.path === path);
  if (origin === undefined) return null;
  const value = origin.values.find(({ pointer }) => pointer === change?.pointer);
  if (value !== undefined) return { file: value.file, line: value.line ?? null };
  const [source, ...others] = origin.from;
  // Which of several parts has changed, or of a template and its variables, nobody knows.
  if (source === undefined || others.length > 0 || origin.variables.length > 0) return null;
  return { file: source.file, line: source.template ? null : (change?.line ?? null) };
}
