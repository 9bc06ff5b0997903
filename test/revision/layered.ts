import { expect } from 'vitest';
import type { DeviceFacts } from '../../src/device/facts.ts';
import { prepareRevision } from '../../src/prepare/prepare.ts';
import type { RevisionLimits } from '../../src/revision/limits.ts';
import { defaultRevisionLimits } from '../../src/revision/limits.ts';
import type { PreparedPath, PreparedRevision, PreviousRevision } from '../../src/revision/revision.ts';
import type { Files } from './memory-source.ts';
import { MemorySource } from './memory-source.ts';

export const LAYERS = `apiVersion: bellwether/v1
kind: Fleet
devices: "devices/*"
layers:
  base: base/
  labels:
    - { match: { role: pos }, from: labels/pos }
    - { match: { role: pos, lane: express }, from: labels/express }
  sites: sites/*
`;
export const TEMPLATES = `${LAYERS}templates: ["**/*.liquid"]\n`;
export const MANIFEST = 'apiVersion: bellwether/v1\nkind: DeviceConfig\n';

export type Bound = Record<string, Partial<DeviceFacts>[]>;
export type Options = {
  limits?: Partial<RevisionLimits>;
  provenance?: boolean;
  previous?: PreviousRevision;
  stale?: string[];
  dependents?: string[];
};

export const pos = (id: string, more: Partial<DeviceFacts> = {}) => ({
  id,
  name: id,
  type: 'till',
  labels: { role: 'pos' },
  site: null,
  ...more,
});

/** `bound`: what is known of the devices, by the name of their folder. */
export function prepare(source: MemorySource, commit: string, bound: Bound = {}, options: Options = {}): Promise<PreparedRevision> {
  const { dependents } = options;
  return prepareRevision(source, {
    commit,
    layout: 'fleet',
    previous: options.previous ?? null,
    stale: options.stale,
    sourceName: 'tills',
    provenance: options.provenance,
    limits: { ...defaultRevisionLimits, maxValidationMs: 60_000, ...options.limits },
    queries: {
      devicesOf: async (paths) => {
        const known = Object.entries(bound).map(
          ([name, facts]) => [`devices/${name}`, facts.map((fact) => ({ ...pos(name), labels: {}, ...fact }))] as const,
        );
        return new Map(known.filter(([path]) => paths.includes(path)));
      },
      adaptersOf: async () => new Map(),
      dependents: async () => dependents ?? [],
    },
    builtinSchemas: new Map(),
  });
}

export async function prepareFiles(files: Files, bound: Bound = {}, options: Options = {}): Promise<PreparedRevision> {
  const source = new MemorySource();
  return prepare(
    source,
    source.commit({ 'fleet.yaml': LAYERS, 'base/motd': 'hello\n', 'labels/pos/x': '', 'labels/express/x': '', ...files }),
    bound,
    options,
  );
}

/** The only device's folder, `devices/a`. */
export async function onlyPath(
  files: Files,
  facts?: Partial<DeviceFacts>,
  options: Options = {},
): Promise<PreparedPath & { texts: Record<string, string> }> {
  const revision = await prepareFiles({ 'devices/a/.keep': '', ...files }, facts === undefined ? {} : { a: [facts] }, options);
  expect(revision.errors).toEqual([]);
  expect(revision.paths).toHaveLength(1);
  const path = revision.paths[0]!;
  const listed = path.bundle?.manifest.files ?? [];
  return {
    ...path,
    texts: Object.fromEntries(listed.map((file) => [file.path, Buffer.from(revision.blobs.get(file.sha256) ?? '').toString()])),
  };
}

export const messages = (path: PreparedPath) => path.errors.map((error) => error.message);
