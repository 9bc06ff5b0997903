import { z } from 'zod';
import { RolloutPolicy } from '../../policy/policy.ts';
import type { RevisionLimits } from '../../revision/limits.ts';
import { ApplySpec } from '../../wire/bundle.ts';
import { FILE_MODE_RULE, matching } from '../../wire/names.ts';
import { segmentFault } from '../../wire/path.ts';
import { Glob, RepositoryPath } from './paths.ts';
import type { ReadManifest } from './reader.ts';
import { readManifest } from './reader.ts';

/** `bellwether.yaml` of a device's folder: what must hold of its files, which files the device gets, and how it applies them. */

export const DEVICE_MANIFEST_NAMES: readonly string[] = ['bellwether.yaml', 'bellwether.yml', 'bellwether.json'];

const SchemaName = z.union([z.string().regex(/^builtin:[a-z0-9][a-z0-9.-]{0,62}$/), RepositoryPath]);

const ValidateRule = z.strictObject({
  files: z
    .union([Glob, z.array(Glob).min(1).max(64)])
    .describe('Files of this folder that must satisfy the schema; at least one must match'),
  schema: SchemaName.describe('A file of this folder or, if there is none, of the repository; or builtin:<name>'),
});
export type ValidateRule = z.infer<typeof ValidateRule>;

const FileRule = z.strictObject({
  from: Glob.describe('A file of this folder, or several by *, ? and **'),
  to: z
    .string()
    .min(1)
    .max(1024)
    .refine(
      (path) =>
        path
          .replace(/\/$/, '')
          .split('/')
          .every((name) => segmentFault(name) === null),
      'must be a relative path without ".." or empty names',
    )
    .optional()
    .describe('Path on the device; a folder when it ends in "/", as it must for several files. Default: the same path'),
  mode: z
    .string()
    .regex(...matching(FILE_MODE_RULE))
    .optional()
    .describe('Octal permissions, quoted: "0640". Default: "0755" for what is executable in Git, else "0644"'),
});
export type FileRule = z.infer<typeof FileRule>;

export const DeviceConfig = z.strictObject({
  $schema: z.string().optional(),
  apiVersion: z.literal('bellwether/v1'),
  kind: z.literal('DeviceConfig'),
  validate: z.array(ValidateRule).max(64).default([]),
  checkSyntax: z
    .boolean()
    .default(true)
    .describe('Whether *.json, *.yaml and *.yml that no rule matches must be readable as what they are named'),
  files: z
    .array(FileRule)
    .min(1)
    .max(256)
    .default([{ from: '**' }])
    .describe(
      'Later entries win. Default: every file but this manifest, under the same path. Wildcards leave out files that begin with a dot, README, LICENSE and the like; those that are named are taken',
    ),
  ignore: z.array(Glob).max(256).default([]).describe('Files of this folder that are not meant for the device: neither sent nor validated'),
  apply: ApplySpec.prefault({}),
  rollout: RolloutPolicy.optional().describe(
    "How a commit goes to the devices; only where the repository is one device's folder, else it stands in fleet.yaml",
  ),
});
export type DeviceConfig = z.infer<typeof DeviceConfig>;

/** The configuration of a folder without a manifest. */
export const defaultDeviceConfig: DeviceConfig = DeviceConfig.parse({ apiVersion: 'bellwether/v1', kind: 'DeviceConfig' });

export function parseDeviceConfig(bytes: Uint8Array, file: string, limits: RevisionLimits): ReadManifest<DeviceConfig> {
  return readManifest(DeviceConfig, bytes, file, limits);
}

/** The JSON Schema for editors, published as `schemas/manifest.schema.json`. */
export function deviceConfigJsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(DeviceConfig, { io: 'input' }), title: 'Bellwether device manifest (bellwether.yaml)' };
}
