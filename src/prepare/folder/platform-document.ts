import type { DocumentTraits } from '../../integration/provider.ts';
import type { ConfigError } from '../../revision/revision.ts';
import type { Folder } from '../folders.ts';
import { inRepository } from '../folders.ts';
import { readManifest } from '../manifest/reader.ts';
import type { SelectedFile } from '../manifest/select.ts';
import type { Meter } from '../meter/meter.ts';
import type { Stage } from '../stage.ts';
import { Findings, found } from '../stage.ts';
import type { BundleContent } from './bundle.ts';
import type { FolderDeps } from './deps.ts';
import { isQuick } from './validate.ts';

/**
 * The platform stage: the file from which a platform configures a device that is bound to the folder. Where no device is bound that has the platform's
 * adapter, such a file is one like any other.
 */
export function checkPlatformDocuments(
  folder: Folder,
  selected: readonly SelectedFile[],
  content: BundleContent,
  { documents, limits }: Pick<FolderDeps, 'documents' | 'limits'>,
  meter: Meter,
): Stage<null> {
  const findings = new Findings();
  for (const { names, schema } of documents.get(folder.path) ?? []) {
    // A delivery takes the first of these names as well.
    const entry = names.flatMap((name) => content.files.find(({ path }) => path === name) ?? [])[0];
    const bytes = entry && content.blobs.get(entry.sha256);
    const from = selected.find(({ to }) => to === entry?.path)?.from;
    if (bytes === undefined || from === undefined) continue;
    const file = inRepository(folder, from);
    const step = { file, doing: 'be validated', isQuick: isQuick(bytes, []) };
    const read = findings.take(meter.step(step, ({ within }) => within(() => readManifest(schema, bytes, file, limits))));
    if (read !== null && !read.ok) findings.errors.push(...read.errors.map(asPlatformError));
  }
  return found(null, findings.errors, [...findings.dependencies]);
}

function asPlatformError(error: ConfigError): ConfigError {
  return error.code === 'manifest' ? { ...error, code: 'platform_document' } : error;
}

/** The documents of platforms by the folders whose devices have their adapters. */
export async function documentsByFolder(
  adapters: ReadonlyMap<string, readonly string[]>,
): Promise<ReadonlyMap<string, readonly DocumentTraits[]>> {
  if (adapters.size === 0) return new Map();
  // Threads that prepare no device of a platform do not load the clients of platforms.
  const { BUILT_IN } = await import('../../integration/registry.ts');
  const traits = new Map(BUILT_IN.all().flatMap(({ kind, document }) => (document === null ? [] : [[kind, document] as const])));
  return new Map([...adapters].map(([path, names]) => [path, names.flatMap((name) => traits.get(name) ?? [])]));
}
