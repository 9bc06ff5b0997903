import { capErrors } from '../../revision/config-error.ts';
import type { ConfigError, FolderProvenance, PreparedPath, WrittenRollout } from '../../revision/revision.ts';
import type { BundleFile } from '../../wire/bundle.ts';
import type { Folder } from '../folders.ts';
import { compose, withoutLayers } from '../layer/compose.ts';
import type { Layered } from '../layer/layer.ts';
import { atOrigin } from '../layer/origin.ts';
import { provenanceOf } from '../layer/provenance.ts';
import { withoutSecretVariables } from '../layer/secrets.ts';
import { faultError, listFiles } from '../list-files.ts';
import type { DeviceConfig } from '../manifest/device-config.ts';
import { Meter } from '../meter/meter.ts';
import type { Stage } from '../stage.ts';
import { Findings, found, refused } from '../stage.ts';
import { bundleOf, readSelected, selectFolderFiles } from './bundle.ts';
import type { FolderDeps } from './deps.ts';
import { readFolderManifest } from './manifest.ts';
import { checkPlatformDocuments } from './platform-document.ts';
import { secretPointers, validateFolder } from './validate-folder.ts';

/** `blobs`: bytes of the bundle's files by SHA-256; empty without a bundle. `rollout`: see `PreparedRevision.rolloutPolicy`. */
export type FolderOutcome = { prepared: PreparedPath; blobs: Map<string, Uint8Array>; rollout: WrittenRollout | null };

/** Prepares one device's folder: its bundle, or all its errors. @throws only what is not the folder's fault */
export async function prepareFolder(deps: FolderDeps, folder: Folder): Promise<FolderOutcome> {
  const { value, errors, dependencies, isTentative } = await runStages(deps, folder, new Meter(deps.budget, folder.path));
  const { path, treeOid } = folder;
  const common = { path, treeOid, dependencies: [...dependencies].sort() };
  if (value === null || errors.length > 0) {
    const shown = isTentative ? errors.map(asIfForNobody) : errors;
    const capped = capErrors(distinct(shown), deps.limits.maxErrorsPerFolder, path);
    const prepared: PreparedPath = { ...common, verdict: 'invalid', bundle: null, errors: capped };
    if (isTentative) prepared.tentative = true;
    return { prepared, blobs: new Map(), rollout: null };
  }
  const { files, blobs, config, rollout, secrets, provenance } = value;
  const prepared: PreparedPath = { ...common, verdict: 'valid', bundle: bundleOf(files, config), errors: [] };
  if (provenance !== null) prepared.provenance = provenance;
  if (secrets.size > 0) prepared.secretPointers = Object.fromEntries(secrets);
  return { prepared, blobs, rollout };
}

type FolderContent = {
  files: BundleFile[];
  blobs: Map<string, Uint8Array>;
  config: DeviceConfig;
  rollout: WrittenRollout | null;
  /** JSON pointers of secrets by path on the device. */
  secrets: ReadonlyMap<string, string[]>;
  provenance: FolderProvenance | null;
};

/** `isTentative`: the folder depends on a device, and none is bound to it. */
type Outcome = Stage<FolderContent> & { isTentative: boolean };

/** The road of a folder: list, layer, manifest, select, read, validate, platform; `bundleOf` ends it. */
async function runStages(deps: FolderDeps, folder: Folder, meter: Meter): Promise<Outcome> {
  const listed = await listFolder(deps, folder);
  if (listed.value === null) return { ...listed, isTentative: false };
  const layers = deps.layers === null ? withoutLayers(folder, listed.value) : await compose(folder, listed.value, deps.layers, meter);
  const isTentative = layers.dependsOnDevice && !deps.layers?.devices.has(folder.path);
  if (layers.value === null) return { ...layers, isTentative };
  const layered = layers.value;
  const findings = new Findings();
  findings.take(layers);
  const end = (value: FolderContent | null): Outcome => ({ ...merged(findings, layered, value), isTentative });

  const manifest = findings.take(await readFolderManifest(folder, layered.files, deps, meter));
  if (manifest === null) return end(null);
  const selection = findings.take(selectFolderFiles(layered, manifest, deps.limits));
  if (selection === null) return end(null);
  const { config, place, rollout } = manifest;
  const content = findings.take(await readSelected(folder, selection.selected, place, deps, meter));
  if (content === null) return end(null);
  const marked = findings.take(await validateFolder({ folder, layered, ...selection, config, place }, deps, meter));
  findings.take(checkPlatformDocuments(folder, selection.selected, content, deps, meter));
  if (marked === null || findings.errors.length > 0) return end(null);
  const secrets = secretPointers(folder, layered.composed, selection.selected, marked);
  const provenance = deps.provenance ? provenanceOf(folder, layered, selection.selected) : null;
  return end({ ...content, config, rollout, secrets, provenance });
}

/** Moves errors of what layers and templates made to their origin, and removes secrets from them. */
function merged({ errors, dependencies }: Findings, { composed }: Layered, value: FolderContent | null): Stage<FolderContent> {
  const moved = errors.map((error) => atOrigin(withoutSecretVariables(error, composed), composed));
  return { value, errors: moved, dependencies: [...dependencies] };
}

/** The list stage: the folder's own files, with paths relative to it. */
async function listFolder(deps: Pick<FolderDeps, 'objects' | 'limits'>, folder: Folder) {
  if (folder.faults.length > 0) return refused(...folder.faults.map(faultError));
  const listed = await listFiles(deps, folder.path, folder.treeOid);
  return listed.errors.length > 0 ? refused(...listed.errors) : found(listed);
}

/** The only fault may be that nothing is known of the device. */
function asIfForNobody(error: ConfigError): ConfigError {
  return { ...error, message: `${error.message}; no device is known for this folder, nor labels or a site` };
}

/** A file that is both parsed and a schema, or a schema that two rules name, gives the same error twice. */
function distinct(errors: readonly ConfigError[]): ConfigError[] {
  return [...new Map(errors.map((error) => [error.message, error])).values()];
}
