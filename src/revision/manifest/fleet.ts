import { z } from 'zod';
import type { RevisionLimits } from '../limits.ts';
import { Glob } from './device-config.ts';
import { isGlob, matchesName } from './glob.ts';
import type { ReadManifest } from './reader.ts';
import { readManifest } from './reader.ts';

/** `fleet.yaml` at the root of a repository with a folder per device. */

export const FLEET_MANIFEST_NAMES: readonly string[] = ['fleet.yaml', 'fleet.yml', 'fleet.json'];

const FolderPattern = Glob.refine(
  (pattern) => !pattern.split('/').some((name) => name.includes('**')),
  'must not have "**": "*" stands for one folder',
);

export const Fleet = z.strictObject({
  $schema: z.string().optional(),
  apiVersion: z.literal('bellwether/v1'),
  kind: z.literal('Fleet'),
  devices: z
    .union([FolderPattern, z.array(FolderPattern).min(1).max(16)])
    .transform((patterns) => (typeof patterns === 'string' ? [patterns] : patterns))
    .refine(
      (patterns) => !patterns.some((outer) => patterns.some((inner) => mayContain(outer, inner))),
      'must not find device folders inside of device folders',
    )
    .describe('Where the device folders are: "devices/*", "sites/*/devices/*"'),
  schemas: Glob.optional().describe(
    'A folder in which the schemas that device manifests name are looked for after the device folder and before the root',
  ),
});
export type Fleet = z.infer<typeof Fleet>;

export function parseFleet(bytes: Uint8Array, file: string, limits: RevisionLimits): ReadManifest<Fleet> {
  return readManifest(Fleet, bytes, file, limits);
}

/** The JSON Schema for editors, published as `schemas/fleet.schema.json`. */
export function fleetJsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(Fleet, { io: 'input' }), title: 'Bellwether fleet manifest (fleet.yaml)' };
}

/** Whether a folder that `outer` finds can have one below it that `inner` finds. */
function mayContain(outer: string, inner: string): boolean {
  const outerNames = outer.split('/');
  const innerNames = inner.split('/');
  return outerNames.length < innerNames.length && outerNames.every((name, index) => mayMeet(name, innerNames[index] ?? ''));
}

function mayMeet(a: string, b: string): boolean {
  if (isGlob(a) && isGlob(b)) return true;
  return isGlob(a) ? matchesName(a, b) : matchesName(b, a);
}
