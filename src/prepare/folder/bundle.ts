import { matchesGlob } from '../../document/glob.ts';
import type { TreeFile } from '../../git/pack/tree-diff.ts';
import { configError } from '../../revision/config-error.ts';
import type { RevisionLimits } from '../../revision/limits.ts';
import type { Bundle } from '../../revision/revision.ts';
import { archiveSize } from '../../wire/archive.ts';
import type { BundleFile } from '../../wire/bundle.ts';
import { bundleDigest } from '../../wire/bundle.ts';
import type { Folder } from '../folders.ts';
import { inRepository } from '../folders.ts';
import type { Layered } from '../layer/layer.ts';
import type { DeviceConfig } from '../manifest/device-config.ts';
import { LEFT_OUT_HINT } from '../manifest/left-out.ts';
import type { ManifestPlace, SelectedFile } from '../manifest/select.ts';
import { selectFiles } from '../manifest/select.ts';
import type { Meter } from '../meter/meter.ts';
import { readFile } from '../read-file.ts';
import type { Stage } from '../stage.ts';
import { Findings, found } from '../stage.ts';
import type { FolderDeps } from './deps.ts';
import type { FolderManifest } from './manifest.ts';

/** `available`: files that the manifest may name, selected or not. */
export type FolderSelection = { available: TreeFile[]; selected: readonly SelectedFile[] };

/** The select stage: the files that the device gets, by the rules of the manifest. */
export function selectFolderFiles(
  layered: Pick<Layered, 'files' | 'faults'>,
  { config, place, name }: FolderManifest,
  { maxBundleFiles }: RevisionLimits,
): Stage<FolderSelection> {
  const isIgnored = (path: string) => config.ignore.some((pattern) => matchesGlob(pattern, path));
  const available = layered.files.filter((file) => file.path !== name && !isIgnored(file.path));
  const faults = layered.faults.filter(({ path }) => !isIgnored(path) && !isIgnored(`${path}/file`));
  const { files, errors } = selectFiles(available, config, place, { faults, maxFiles: maxBundleFiles });
  const isEmpty = files.length === 0 && errors.length === 0;
  return found({ available, selected: files }, isEmpty ? [noFiles(place, available.length > 0)] : errors);
}

/** `blobs`: bytes by SHA-256. */
export type BundleContent = { files: BundleFile[]; blobs: Map<string, Uint8Array> };

/** The read stage: the content of the selected files. */
export async function readSelected(
  folder: Folder,
  selected: readonly SelectedFile[],
  place: ManifestPlace,
  deps: Pick<FolderDeps, 'objects' | 'limits'>,
  meter: Meter,
): Promise<Stage<BundleContent>> {
  const { maxBundleBytes } = deps.limits;
  const findings = new Findings();
  const content: BundleContent = { files: [], blobs: new Map() };
  let bytes = 0;
  for (const { from, to, mode, oid } of selected) {
    const stored = findings.take(await readFile(deps, meter, { oid, file: inRepository(folder, from), rule: 'maxFileBytes' }));
    if (stored === null) continue;
    bytes += stored.bytes.length;
    if (bytes > maxBundleBytes) {
      const detail = `selects files of more than ${maxBundleBytes} bytes in all`;
      const error = configError({ code: 'too_large', file: place.file, rule: 'maxBundleBytes', limit: maxBundleBytes, detail });
      return { value: null, errors: [...findings.errors, error], dependencies: [] };
    }
    content.blobs.set(stored.sha256, stored.bytes);
    content.files.push({ path: to, mode, size: stored.bytes.length, sha256: stored.sha256 });
  }
  return found(content, findings.errors);
}

/** The bundle stage. */
export function bundleOf(files: BundleFile[], { apply }: DeviceConfig): Bundle {
  const manifest = { apiVersion: 'bellwether/v1' as const, kind: 'Bundle' as const, files, apply };
  return { digest: bundleDigest(manifest), manifest, size: archiveSize(manifest) };
}

function noFiles(place: ManifestPlace, hasOthers: boolean) {
  const start = hasOthers ? 'selects no file' : 'holds no file';
  const detail = `${start}: a device would be left with nothing${hasOthers ? `; ${LEFT_OUT_HINT}` : ''}`;
  return configError({ code: 'manifest', file: place.file, rule: 'files', detail });
}
