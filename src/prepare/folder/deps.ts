import type { LRUCache } from 'lru-cache';
import type { DocumentTraits } from '../../integration/provider.ts';
import type { RevisionLimits } from '../../revision/limits.ts';
import type { LayerDeps } from '../layer/layer.ts';
import type { DeviceConfig } from '../manifest/device-config.ts';
import type { ReadManifest } from '../manifest/reader.ts';
import type { Budget } from '../meter/budget.ts';
import type { ObjectCache } from '../object-cache.ts';
import type { SchemaLoader } from '../schema/loader.ts';

/** Dependencies of the stages, the same for all folders of a commit. Each stage takes its part. */
export type FolderDeps = {
  objects: ObjectCache;
  limits: RevisionLimits;
  budget: Budget;
  schemas: SchemaLoader;
  /** Manifests without error, by the object they stand in: devices of a kind have the same one. */
  manifests: LRUCache<string, ReadConfig>;
  /** The fleet's folder of schemas. */
  schemaFolder: string | null;
  /** null where devices get just the files of their folders. */
  layers: LayerDeps | null;
  /** The files from which platforms configure the devices that are bound to a folder. */
  documents: ReadonlyMap<string, readonly DocumentTraits[]>;
  /** Whether the outcome names where everything came from. */
  provenance: boolean;
};

/** A manifest without error. */
export type ReadConfig = ReadManifest<DeviceConfig> & { ok: true };
