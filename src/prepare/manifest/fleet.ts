import { z } from 'zod';
import { syntaxOf } from '../../document/document.ts';
import { isGlob, matchesName } from '../../document/glob.ts';
import { RolloutPolicy } from '../../policy/policy.ts';
import type { RevisionLimits } from '../../revision/limits.ts';
import { Labels } from '../../wire/agent.ts';
import { FolderPath, Glob, NamedFolderPath, RepositoryPath } from './paths.ts';
import type { ReadManifest } from './reader.ts';
import { readManifest } from './reader.ts';

/** `fleet.yaml` at the root of a repository with a folder per device. */

export const FLEET_MANIFEST_NAMES: readonly string[] = ['fleet.yaml', 'fleet.yml', 'fleet.json'];

const FolderPattern = Glob.refine(
  (pattern) => !pattern.split('/').some((name) => name.includes('**')),
  'must not have "**": "*" stands for one folder',
);

const LabelLayer = z.strictObject({
  match: Labels.refine((labels) => Object.keys(labels).length > 0, 'must name a label: what every device gets belongs in "base"').describe(
    'Labels that a device must carry, all of them',
  ),
  from: FolderPath,
});

const Layers = z
  .strictObject({
    base: FolderPath.optional().describe('For every device'),
    labels: z.array(LabelLayer).max(100).default([]).describe('For devices that carry the labels, in this order'),
    sites: NamedFolderPath.optional().describe('For the devices of a site: "sites/*", where "*" is the name of the site'),
  })
  .describe(
    'Folders whose files devices get beneath those of their own folder: base, labels, site, device. A later one wins; JSON and YAML of the same path are merged (RFC 7386), and `<name>.removed` takes the file away that an earlier one gives',
  );

export const Fleet = z
  .strictObject({
    $schema: z.string().optional(),
    apiVersion: z.literal('bellwether/v1'),
    kind: z.literal('Fleet'),
    devices: z
      .union([FolderPattern, z.array(FolderPattern).min(1).max(16)])
      .transform((patterns) => [patterns].flat())
      .refine(
        (patterns) => !patterns.some((outer) => patterns.some((inner) => mayContain(outer, inner))),
        'must not find device folders inside of device folders',
      )
      .describe('Where the device folders are: "devices/*", "sites/*/devices/*"'),
    schemas: Glob.optional().describe(
      'A folder in which the schemas that device manifests name are looked for after the device folder and before the root',
    ),
    layers: Layers.optional(),
    templates: z
      .union([Glob, z.array(Glob).min(1).max(64)])
      .transform((globs) => [globs].flat())
      .optional()
      .describe('Files, below their layer\'s or device\'s folder, that are Liquid templates: "**/*.liquid". This suffix is dropped'),
    variables: RepositoryPath.refine((path) => syntaxOf(path) !== null, 'must be named *.yaml, *.yml or *.json')
      .default('variables.yaml')
      .describe("A file of a layer's or device's folder whose members templates can use; merged as any other, and not sent to devices"),
    rollout: RolloutPolicy.optional().describe('How a commit goes to the devices. Default: as the source is set to'),
  })
  .superRefine((fleet, context) => {
    for (const { path, message } of misplacedLayers(fleet)) context.addIssue({ code: 'custom', path, message });
  });
export type Fleet = z.infer<typeof Fleet>;

export function parseFleet(bytes: Uint8Array, file: string, limits: RevisionLimits): ReadManifest<Fleet> {
  return readManifest(Fleet, bytes, file, limits);
}

/** The JSON Schema for editors, published as `schemas/fleet.schema.json`. */
export function fleetJsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(Fleet, { io: 'input' }), title: 'Bellwether fleet manifest (fleet.yaml)' };
}

/** Whether devices get more than what stands in their folders. */
export function isLayered({ layers, templates }: Fleet): boolean {
  return templates !== undefined || (layers !== undefined && layerFolders(layers).length > 0);
}

/** Whether what a folder gives may depend on what is known of its device, beside the folder's name. */
export function dependsOnDevices({ layers, templates }: Fleet): boolean {
  return templates !== undefined || layers?.sites !== undefined || (layers?.labels.length ?? 0) > 0;
}

/** The folders that must be there; each with its place in the manifest. */
export function fixedLayers(fleet: Fleet): { folder: string; at: string[] }[] {
  return layerFolders(fleet.layers).filter(({ folder }) => !isGlob(folder));
}

function layerFolders(layers: Fleet['layers']): { folder: string; at: string[] }[] {
  const { base, labels = [], sites } = layers ?? {};
  return [
    ...(base === undefined ? [] : [{ folder: base, at: ['layers', 'base'] }]),
    ...labels.map(({ from }, index) => ({ folder: from, at: ['layers', 'labels', String(index), 'from'] })),
    ...(sites === undefined ? [] : [{ folder: sites, at: ['layers', 'sites'] }]),
  ];
}

/** A layer's folder that holds device folders or another layer would give its devices what is not meant for them. */
function misplacedLayers({ devices, layers }: Pick<Fleet, 'devices' | 'layers'>): { path: string[]; message: string }[] {
  const folders = layerFolders(layers);
  return folders.flatMap(({ folder, at }) => {
    const device = devices.find((pattern) => mayContain(folder, pattern) || mayContain(pattern, folder) || mayEqual(folder, pattern));
    if (device !== undefined) return [{ path: at, message: `must not overlap with the device folders ${JSON.stringify(device)}` }];
    const inner = folders.find((other) => mayContain(folder, other.folder));
    return inner === undefined ? [] : [{ path: at, message: `must not contain another layer, ${JSON.stringify(inner.folder)}` }];
  });
}

/** Whether a folder that `outer` finds can have one below it that `inner` finds. */
function mayContain(outer: string, inner: string): boolean {
  const outerNames = outer.split('/');
  const innerNames = inner.split('/');
  return outerNames.length < innerNames.length && outerNames.every((name, index) => mayMeet(name, innerNames[index] ?? ''));
}

function mayEqual(one: string, other: string): boolean {
  const names = one.split('/');
  const otherNames = other.split('/');
  return names.length === otherNames.length && names.every((name, index) => mayMeet(name, otherNames[index] ?? ''));
}

function mayMeet(a: string, b: string): boolean {
  if (isGlob(a) && isGlob(b)) return true;
  return isGlob(a) ? matchesName(a, b) : matchesName(b, a);
}
