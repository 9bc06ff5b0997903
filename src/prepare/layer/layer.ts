import type { DeviceFacts } from '../../device/facts.ts';
import type { Document, ParsedDocument } from '../../document/document.ts';
import type { ScalarNode } from '../../document/node.ts';
import type { TreeFile } from '../../git/pack/tree-diff.ts';
import type { ConfigError } from '../../revision/revision.ts';
import type { FileFault } from '../list-files.ts';
import type { ParsedTemplate, UsableTemplate } from './render/template.ts';

/** A folder whose files a device gets, beneath those of the layers after it. */
export type Layer = {
  /** For people: `base`, `labels role=pos`, `site berlin`, `device`. */
  name: string;
  /** In the repository. */
  path: string;
};

/** What one layer says of one file. */
export type Part = {
  layer: Layer;
  /** In the repository. */
  file: string;
  oid: string;
  mode: string;
  isTemplate: boolean;
  /** It takes away what earlier layers give. */
  removes: boolean;
};

/** By the path below the device's folder, as it is without suffixes. */
export type LayerFiles = { parts: ReadonlyMap<string, Part>; faults: readonly FileFault[]; errors: readonly ConfigError[] };

/** Where a file came from that does not stand in the device's folder as it is. */
export type Origin = {
  /** What made it, in the order of their layers. */
  parts: readonly Part[];
  /** Of each part, where they were merged; else there is one part. */
  documents: readonly Document[] | null;
};

/** What templates of one device can read, and those that were rendered, by the id of their object. */
export type Scope = {
  names: Readonly<Record<string, unknown>>;
  used: Map<string, UsableTemplate>;
  /** File and line of a scalar of the variables. */
  placeOf(scalar: ScalarNode): string | null;
  /** null: there are no variables. */
  twins: { concern(reads: readonly (readonly string[])[]): boolean; names(): readonly Scope['names'][] } | null;
};

/** What the layers of a device say to its templates. `written`: with each number as its file spells it. */
export type Variables = {
  value: Record<string, unknown>;
  written: Record<string, unknown>;
  parts: readonly Part[];
  documents: readonly Document[];
};

/** All that a device's layers give it. */
export type Composition = {
  /** As if they all stood in the device's folder. */
  files: TreeFile[];
  layers: readonly Layer[];
  /** By the path in the folder: what a layer took away. */
  removed: ReadonlyMap<string, Part>;
  variables: Variables;
  scope: Scope;
  /** As if: no device is bound to the folder. */
  facts: DeviceFacts;
};

/** `timeout`: nobody tries again. */
export type ReadDocument = ParsedDocument | 'timeout';
export type ReadTemplate = ParsedTemplate | 'timeout';

/** A file that was made of several. */
export type MergedFile = { result: Document; documents: readonly Document[] };
