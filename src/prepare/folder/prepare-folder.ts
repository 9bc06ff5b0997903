import { matchesGlob } from '../../document/glob.ts';
import type { TreeFile } from '../../git/pack/tree-diff.ts';
import { capErrors, configError } from '../../revision/config-error.ts';
import type { ConfigError, PreparedPath, WrittenRollout } from '../../revision/revision.ts';
import { archiveSize } from '../../wire/archive.ts';
import type { BundleFile, BundleManifest } from '../../wire/bundle.ts';
import { bundleDigest } from '../../wire/bundle.ts';
import { OwnTime } from '../commit-time.ts';
import type { FolderContext, ReadConfig, Work } from '../folder-work.ts';
import { inFolderTime, inRepository, readFile } from '../folder-work.ts';
import type { Folder } from '../folders.ts';
import { compose } from '../layer/compose.ts';
import { atOrigin } from '../layer/origin.ts';
import { provenanceOf } from '../layer/provenance.ts';
import { markSecretPlaces, withoutSecretVariables } from '../layer/secrets.ts';
import { faultError, listFiles } from '../list-files.ts';
import type { DeviceConfig } from '../manifest/device-config.ts';
import { DEVICE_MANIFEST_NAMES, defaultDeviceConfig, parseDeviceConfig } from '../manifest/device-config.ts';
import { LEFT_OUT_HINT } from '../manifest/left-out.ts';
import { writtenRollout } from '../manifest/reader.ts';
import type { ManifestPlace, SelectedFile } from '../manifest/select.ts';
import { selectFiles } from '../manifest/select.ts';
import { MAX_QUICK_BYTES, withinTimeUnless } from '../time-limit.ts';
import { validateFiles } from './validate-folder.ts';

/** `blobs` are the bytes of the bundle's files by SHA-256; empty when there is no bundle. `rollout`: see `PreparedRevision.rolloutPolicy`. */
export type FolderOutcome = { prepared: PreparedPath; blobs: Map<string, Uint8Array>; rollout: WrittenRollout | null };

/** One device's folder: its bundle, or everything that is wrong with it. @throws only what is not the folder's fault */
export async function prepareFolder(context: FolderContext, folder: Folder): Promise<FolderOutcome> {
  const work: Work = {
    context,
    folder,
    errors: [],
    faults: [],
    dependencies: new Set(),
    secrets: new Map(),
    templated: new Map(),
    files: new Map(),
    time: new OwnTime(context.time, folder.path),
    readBytes: 0,
    rollout: null,
    origins: new Map(),
    documents: new Map(),
    composition: null,
    dependsOnDevice: false,
    provenance: null,
  };
  const bundle = await buildBundle(work);
  const { path, treeOid } = folder;
  const { maxErrorsPerFolder } = context.limits;
  const dependencies = [...work.dependencies].sort();
  if (bundle === null || work.errors.length > 0) {
    const isTentative = work.dependsOnDevice && !context.fleet?.devices.has(path);
    const told = work.errors
      .map((error) => atOrigin(withoutSecretVariables(error, work), work.origins))
      .map((error) => (isTentative ? asIfForNobody(error) : error));
    const errors = capErrors(distinct(told), maxErrorsPerFolder, path);
    const prepared: PreparedPath = { path, treeOid, dependencies, verdict: 'invalid', bundle: null, errors };
    if (isTentative) prepared.tentative = true;
    return { prepared, blobs: new Map(), rollout: null };
  }
  const built = { digest: bundleDigest(bundle), manifest: bundle, size: archiveSize(bundle) };
  const prepared: PreparedPath = { path, treeOid, dependencies, verdict: 'valid', bundle: built, errors: [] };
  if (work.provenance !== null) prepared.provenance = work.provenance;
  if (work.secrets.size > 0) prepared.secretPointers = Object.fromEntries(work.secrets);
  const blobs = new Map([...work.files.values()].map((file) => [file.sha256, file.bytes]));
  return { prepared, blobs, rollout: work.rollout };
}

/** What is wrong may be just that nothing is known of the device. */
function asIfForNobody(error: ConfigError): ConfigError {
  return { ...error, message: `${error.message}; no device is known for this folder, nor labels or a site` };
}

/** A file that is both parsed and a schema, or a schema that two rules name, gives the same error twice. */
function distinct(errors: ConfigError[]): ConfigError[] {
  return [...new Map(errors.map((error) => [error.message, error])).values()];
}

async function buildBundle(work: Work): Promise<BundleManifest | null> {
  const listed = await listFolder(work);
  if (listed === null) return null;
  const read = await readConfig(work, listed);
  if (read === null) return null;
  const { config, place } = read;
  const isIgnored = (path: string) => config.ignore.some((pattern) => matchesGlob(pattern, path));
  const available = listed.filter((file) => file.path !== read.name && !isIgnored(file.path));
  const faults = work.faults.filter(({ path }) => !isIgnored(path) && !isIgnored(`${path}/file`));
  const selection = selectFiles(available, config, place, { faults, maxFiles: work.context.limits.maxBundleFiles });
  work.errors.push(...selection.errors);
  if (selection.files.length === 0 && selection.errors.length === 0) work.errors.push(noFiles(place, available.length > 0));
  const files = await readSelected(work, selection.files, place);
  if (files !== null) await validateFiles(work, available, selection.files, config, place);
  markSecretPlaces(work, selection.files);
  if (work.context.provenance) work.provenance = provenanceOf(work, selection.files);
  return { apiVersion: 'bellwether/v1', kind: 'Bundle', files: files ?? [], apply: config.apply };
}

/** The device's files with paths relative to its folder, or null when there is something that must not reach a device. */
async function listFolder(work: Work): Promise<TreeFile[] | null> {
  const { context, folder, errors } = work;
  errors.push(...folder.faults.map(faultError));
  if (errors.length > 0) return null;
  const listed = await listFiles(context, folder.path, folder.treeOid);
  errors.push(...listed.errors);
  if (errors.length > 0) return null;
  if (context.fleet === null) {
    work.faults = listed.faults;
    return listed.files;
  }
  work.composition = await compose(work, context.fleet, listed);
  return work.composition?.files ?? null;
}

type FolderConfig = { config: DeviceConfig; place: ManifestPlace; name: string | null };

async function readConfig(work: Work, files: TreeFile[]): Promise<FolderConfig | null> {
  const { folder, errors } = work;
  const manifests = files.filter((file) => DEVICE_MANIFEST_NAMES.includes(file.path));
  const [manifest] = manifests;
  if (manifest === undefined) return { config: defaultDeviceConfig, place: { file: folder.path, lineOf: () => undefined }, name: null };
  const file = inRepository(folder, manifest.path);
  if (manifests.length > 1) {
    const detail = `is one of ${manifests.length} manifests (${manifests.map(({ path }) => path).join(', ')}), must be the only one`;
    errors.push(configError({ code: 'manifest', file, rule: 'unique', detail }));
    return null;
  }
  const read = await readManifestOf(work, manifest, file);
  if (read === null) return null;
  const { lineOf } = read.document;
  if (folder.path === '') work.rollout = writtenRollout(read.document, file);
  else if (read.manifest.rollout !== undefined) errors.push(misplacedRollout(file, lineOf(['rollout'])));
  return { config: read.manifest, place: { file, lineOf }, name: manifest.path };
}

/** Parses each manifest once, however many folders have the same: most of the time of a large fleet went into that. null after an error. */
async function readManifestOf(work: Work, { oid, path }: TreeFile, file: string): Promise<ReadConfig | null> {
  const { limits, manifests } = work.context;
  const stored = await readFile(work, oid, file, limits.maxDocumentBytes, 'maxDocumentBytes');
  if (stored === null) return null;
  // Its name says how it is read.
  const key = `${oid} ${path}`;
  const isQuick = stored.bytes.length <= MAX_QUICK_BYTES;
  const parse = (msLeft: number) => withinTimeUnless(isQuick, msLeft, () => parseDeviceConfig(stored.bytes, file, limits));
  const read = manifests.get(key) ?? inFolderTime(work, { file, doing: 'be read', isQuick }, parse);
  if (read === null) return null;
  if (read.ok) manifests.set(key, read);
  else work.errors.push(...read.errors);
  return read.ok ? read : null;
}

/** A commit goes to all devices of a fleet in one way. */
function misplacedRollout(file: string, line: number): ConfigError {
  return configError({ code: 'manifest', file, line, pointer: '/rollout', rule: 'rollout', detail: 'belongs in fleet.yaml' });
}

/** null after an error that ends the folder. */
async function readSelected(work: Work, selected: readonly SelectedFile[], place: ManifestPlace): Promise<BundleFile[] | null> {
  const { folder, errors, context } = work;
  const { maxFileBytes, maxBundleBytes } = context.limits;
  const files: BundleFile[] = [];
  let bytes = 0;
  for (const { from, to, mode, oid } of selected) {
    const file = inRepository(folder, from);
    const stored = await readFile(work, oid, file, maxFileBytes, 'maxFileBytes');
    if (stored === null) continue;
    bytes += stored.bytes.length;
    if (bytes > maxBundleBytes) {
      const detail = `selects files of more than ${maxBundleBytes} bytes in all`;
      errors.push(configError({ code: 'too_large', file: place.file, rule: 'maxBundleBytes', limit: maxBundleBytes, detail }));
      return null;
    }
    work.files.set(to, stored);
    files.push({ path: to, mode, size: stored.bytes.length, sha256: stored.sha256 });
  }
  return files;
}

function noFiles(place: ManifestPlace, hasOthers: boolean): ConfigError {
  const found = hasOthers ? 'selects no file' : 'holds no file';
  const detail = `${found}: a device would be left with nothing${hasOthers ? `; ${LEFT_OUT_HINT}` : ''}`;
  return configError({ code: 'manifest', file: place.file, rule: 'files', detail });
}
