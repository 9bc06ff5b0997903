import type { TreeFile } from '../../git/pack/tree-diff.ts';
import { configError } from '../../revision/config-error.ts';
import type { ConfigError, WrittenRollout } from '../../revision/revision.ts';
import type { Folder } from '../folders.ts';
import { inRepository } from '../folders.ts';
import type { DeviceConfig } from '../manifest/device-config.ts';
import { DEVICE_MANIFEST_NAMES, defaultDeviceConfig, parseDeviceConfig } from '../manifest/device-config.ts';
import { writtenRollout } from '../manifest/reader.ts';
import type { ManifestPlace } from '../manifest/select.ts';
import { MAX_QUICK_BYTES } from '../meter/cpu-limit.ts';
import type { Meter } from '../meter/meter.ts';
import { readFile } from '../read-file.ts';
import type { Stage } from '../stage.ts';
import { found, refused } from '../stage.ts';
import type { FolderDeps, ReadConfig } from './deps.ts';

/** `rollout`: of the manifest, as it is written there; null without. */
export type FolderManifest = {
  config: DeviceConfig;
  place: ManifestPlace;
  /** null without a manifest. */
  name: string | null;
  rollout: WrittenRollout | null;
};

type ManifestDeps = Pick<FolderDeps, 'objects' | 'limits' | 'manifests'>;

/** The manifest stage: what the folder's manifest asks for, or what holds without one. */
export async function readFolderManifest(
  folder: Folder,
  files: readonly TreeFile[],
  deps: ManifestDeps,
  meter: Meter,
): Promise<Stage<FolderManifest>> {
  const manifests = files.filter((file) => DEVICE_MANIFEST_NAMES.includes(file.path));
  const [manifest] = manifests;
  if (manifest === undefined)
    return found({ config: defaultDeviceConfig, place: { file: folder.path, lineOf: () => undefined }, name: null, rollout: null });
  const file = inRepository(folder, manifest.path);
  if (manifests.length > 1) {
    const detail = `is one of ${manifests.length} manifests (${manifests.map(({ path }) => path).join(', ')}), must be the only one`;
    return refused(configError({ code: 'manifest', file, rule: 'unique', detail }));
  }
  const read = await readConfig(manifest, file, deps, meter);
  if (read.value === null) return read;
  const { manifest: config, document } = read.value;
  const { lineOf } = document;
  const isRepository = folder.path === '';
  const errors = !isRepository && config.rollout !== undefined ? [misplacedRollout(file, lineOf(['rollout']))] : [];
  const rollout = isRepository ? writtenRollout(document, file) : null;
  return found({ config, place: { file, lineOf }, name: manifest.path, rollout }, errors);
}

/** Parses each manifest once, however many folders have the same: most of the time of a large fleet went into that. */
async function readConfig({ oid, path }: TreeFile, file: string, deps: ManifestDeps, meter: Meter): Promise<Stage<ReadConfig>> {
  const { limits, manifests } = deps;
  const stored = await readFile(deps, meter, { oid, file, rule: 'maxDocumentBytes' });
  if (stored.value === null) return stored;
  const { bytes } = stored.value;
  // The name of the file decides how it is parsed.
  const key = `${oid} ${path}`;
  const known = manifests.get(key);
  if (known !== undefined) return found(known);
  const isQuick = bytes.length <= MAX_QUICK_BYTES;
  const read = meter.step({ file, doing: 'be read', isQuick }, ({ within }) => within(() => parseDeviceConfig(bytes, file, limits)));
  if (read.value === null) return read;
  if (!read.value.ok) return refused(...read.value.errors);
  manifests.set(key, read.value);
  return found(read.value);
}

/** A commit goes to all devices of a fleet in one way. */
function misplacedRollout(file: string, line: number): ConfigError {
  return configError({ code: 'manifest', file, line, pointer: '/rollout', rule: 'rollout', detail: 'belongs in fleet.yaml' });
}
