import type { LRUCache } from 'lru-cache';
import type { DeviceFacts } from '../device/facts.ts';
import type { Document } from '../document/document.ts';
import { isProblem } from '../git/problems.ts';
import { configError } from '../revision/config-error.ts';
import type { RevisionLimits } from '../revision/limits.ts';
import type { ConfigError, FolderProvenance, WrittenRollout } from '../revision/revision.ts';
import type { CommitTime, OwnTime } from './commit-time.ts';
import { standInError } from './folder/stand-in.ts';
import type { Folder } from './folders.ts';
import type { Composition, LayerFiles, MergedFile, Origin, ReadDocument, ReadTemplate } from './layer/layer.ts';
import type { FileFault } from './list-files.ts';
import type { DeviceConfig } from './manifest/device-config.ts';
import type { Fleet } from './manifest/fleet.ts';
import type { ReadManifest } from './manifest/reader.ts';
import type { ObjectCache, StoredFile } from './object-cache.ts';
import type { SchemaLoader } from './schema/loader.ts';
import { TookTooLong } from './time-limit.ts';

export type FolderContext = {
  objects: ObjectCache;
  limits: RevisionLimits;
  time: CommitTime;
  schemas: SchemaLoader;
  /** Manifests without error by the object they stand in: devices of a kind have the same one. */
  manifests: LRUCache<string, ReadConfig>;
  /** Where the fleet keeps its schemas. */
  schemaFolder: string | null;
  /** null where devices get just what stands in their folders. */
  fleet: FleetContext | null;
  /** Whether to tell where everything came from. */
  provenance: boolean;
};

/** A manifest that was read and found good. */
export type ReadConfig = ReadManifest<DeviceConfig> & { ok: true };

/** Layers and templates, and what of them is the same for many devices. */
export type FleetContext = {
  manifest: Fleet;
  rootTreeOid: string;
  sourceName: string;
  /** By the folder that they are bound to. */
  devices: ReadonlyMap<string, readonly DeviceFacts[]>;
  shared: Map<string, Promise<LayerFiles>>;
  documents: LRUCache<string, ReadDocument>;
  templates: LRUCache<string, ReadTemplate>;
  merged: LRUCache<string, MergedFile>;
};

/** What is gathered while one folder is prepared. */
export type Work = {
  context: FolderContext;
  folder: Folder;
  errors: ConfigError[];
  /** Of its folder and layers, by the path in the folder. */
  faults: FileFault[];
  dependencies: Set<string>;
  /** JSON pointers of secrets by path on the device. */
  secrets: Map<string, string[]>;
  /** JSON pointers of what templates made of secret variables, by the file's path in the repository if it stood in the folder. */
  templated: Map<string, ReadonlySet<string>>;
  /** The bundle's files by path on the device. */
  files: Map<string, StoredFile>;
  /** For parsing, templates and schemas. */
  time: OwnTime;
  /** Of all files read; one that is selected and validated counts twice. */
  readBytes: number;
  /** `rollout` of the manifest, as it is written there; null without. */
  rollout: WrittenRollout | null;
  /** Where files came from that do not stand in the folder as they are, by their path in the repository if they did. */
  origins: Map<string, Origin>;
  /** Merged files as they were read to prove the merge, by the id of their object: they need no second reading. */
  documents: Map<string, Document>;
  /** null without layers, and before they were read. */
  composition: Composition | null;
  provenance: FolderProvenance | null;
  /** What comes out may be another for another device. */
  dependsOnDevice: boolean;
};

/** @param file whose turn it is. @param doing after "to". @param isQuick needs no clock: small and linear */
export type TimedStep = { file: string; doing: string; isQuick: boolean };

/** Runs what is bounded for all files of a folder together. @returns null after the time is over, which one error tells: the other folders go on */
export function inFolderTime<T>(work: Work, { file, doing, isQuick }: TimedStep, run: (msLeft: number) => T): T | null {
  try {
    return work.time.run(isQuick, run);
  } catch (error) {
    if (!(error instanceof TookTooLong)) throw error;
    work.errors.push(work.time.error(file, `${doing} (with the files of its folder before it)`));
    // Once those are mended, this folder is to be read again.
    for (const path of work.time.others()) if (path !== '') work.dependencies.add(path);
    return null;
  }
}

/** null after an error was recorded. */
export async function readFile(work: Work, oid: string, file: string, maxBytes: number, rule: string): Promise<StoredFile | null> {
  try {
    const stored = await work.context.objects.readFile(oid, maxBytes);
    work.readBytes += stored.bytes.length;
    const standIn = standInError(stored.bytes, file);
    if (standIn === null) return stored;
    if (!work.errors.some((error) => error.rule === standIn.rule && error.file === file)) work.errors.push(standIn);
    return null;
  } catch (error) {
    if (isProblem(error, 'git_too_large')) {
      work.errors.push(configError({ code: 'too_large', file, rule, limit: maxBytes, detail: `has more than ${maxBytes} bytes` }));
    } else if (isProblem(error, 'git_object_invalid')) {
      work.errors.push(
        configError({ code: 'path', file, rule: 'unreadable', detail: 'cannot be read: its object is damaged in the repository itself' }),
      );
    } else throw error;
    return null;
  }
}

export function inRepository(folder: Folder, path: string): string {
  return folder.path === '' ? path : `${folder.path}/${path}`;
}

export function isInside(folder: Folder, path: string): boolean {
  return folder.path === '' || path.startsWith(`${folder.path}/`);
}
