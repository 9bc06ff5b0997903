import type { LRUCache } from 'lru-cache';
import type { DeviceFacts } from '../../device/facts.ts';
import type { Document, ParsedDocument } from '../../document/document.ts';
import type { ScalarNode } from '../../document/node.ts';
import type { TreeFile } from '../../git/pack/tree-diff.ts';
import type { RevisionLimits } from '../../revision/limits.ts';
import type { ConfigError } from '../../revision/revision.ts';
import type { FileFault } from '../list-files.ts';
import type { Fleet } from '../manifest/fleet.ts';
import type { ObjectCache } from '../object-cache.ts';
import type { ParsedTemplate, UsableTemplate } from './render/template.ts';

/** A folder whose files a device gets, beneath those of the layers after it. */
export type Layer = {
  /** For people: `base`, `labels role=pos`, `site berlin`, `device`. */
  name: string;
  /** In the repository. */
  path: string;
};

/** One file of one layer. */
export type Part = {
  layer: Layer;
  /** In the repository. */
  file: string;
  oid: string;
  mode: string;
  isTemplate: boolean;
  /** It removes the file that earlier layers give. */
  removes: boolean;
};

/** By the path below the device's folder, without suffixes. */
export type LayerFiles = { parts: ReadonlyMap<string, Part>; faults: readonly FileFault[]; errors: readonly ConfigError[] };

/** The origin of a file that does not stand in the device's folder as it is. */
export type Origin = {
  /** The files that made it, in the order of their layers. */
  parts: readonly Part[];
  /** One for each part, where several were merged. null for one part. */
  documents: readonly Document[] | null;
  /** One for each part; null for a part that is no template. */
  templates: readonly (UsableTemplate | null)[];
};

/** The names that templates of one device can read. */
export type TemplateScope = {
  names: Readonly<Record<string, unknown>>;
  /** File and line of a scalar of the variables. */
  placeOf(scalar: ScalarNode): string | null;
  /** null: there are no variables. */
  twins: { concern(reads: readonly (readonly string[])[]): boolean; names(): readonly TemplateScope['names'][] } | null;
};

/** The variables of a device's layers, merged. `written`: with each number as its file spells it. */
export type Variables = {
  value: Record<string, unknown>;
  written: Record<string, unknown>;
  parts: readonly Part[];
  documents: readonly Document[];
};

/** A file that layers or a template made. */
export type ComposedFile = {
  origin: Origin;
  /** Only for a merged file. The merge has parsed it already. */
  document: Document | null;
  /** JSON pointers of what templates made of secret variables. */
  secrets: ReadonlySet<string>;
};

/** By the path of the file in the repository, as if it stood in the device's folder. Files that do stand there as they are have no entry. */
export type ComposedFiles = ReadonlyMap<string, ComposedFile>;

/** Everything that a device's layers give it. */
export type Layered = {
  /** As if they all stood in the device's folder. */
  files: TreeFile[];
  /** Faults of the folder and its layers, with paths in the folder. */
  faults: readonly FileFault[];
  layers: readonly Layer[];
  /** Files that a layer removed, by their path in the folder. */
  removed: ReadonlyMap<string, Part>;
  composed: ComposedFiles;
  /** null where the fleet has no layers. */
  variables: Variables | null;
};

/** `timeout`: it is not read again. */
export type ReadDocument = ParsedDocument | 'timeout';
export type ReadTemplate = ParsedTemplate | 'timeout';

/** One part, as it is merged. */
export type PartDocument = { document: Document; template: UsableTemplate | null; secrets: readonly string[] };

/** A file that was made of several. */
export type MergedFile = { result: Document; parts: readonly PartDocument[] };

/** Dependencies of the layer stage, the same for all devices of a commit. The last four are caches of files that many devices share. */
export type LayerDeps = {
  objects: ObjectCache;
  limits: RevisionLimits;
  fleet: Fleet;
  rootTreeOid: string;
  sourceName: string;
  /** By the folder that they are bound to. */
  devices: ReadonlyMap<string, readonly DeviceFacts[]>;
  shared: Map<string, Promise<LayerFiles>>;
  documents: LRUCache<string, ReadDocument>;
  templates: LRUCache<string, ReadTemplate>;
  merged: LRUCache<string, MergedFile>;
};
