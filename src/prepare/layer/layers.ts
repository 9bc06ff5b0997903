import type { DeviceFacts } from '../../device/facts.ts';
import { matchesGlob } from '../../document/glob.ts';
import { joinPath } from '../../git/pack/tree-check.ts';
import { configError } from '../../revision/config-error.ts';
import type { ConfigError } from '../../revision/revision.ts';
import { segmentFault } from '../../wire/path.ts';
import type { Folder } from '../folders.ts';
import { inRepository } from '../folders.ts';
import type { ListedFiles } from '../list-files.ts';
import { listFiles } from '../list-files.ts';
import type { Fleet } from '../manifest/fleet.ts';
import type { Layer, LayerDeps, LayerFiles, Part } from './layer.ts';

const TEMPLATE_SUFFIX = '.liquid';
const REMOVED_SUFFIX = '.removed';

/** The layers of a device whose folder is `path`, the first beneath all others. */
export function layersFor({ layers }: Pick<Fleet, 'layers'>, path: string, { labels, site }: DeviceFacts): Layer[] {
  const found: Layer[] = [];
  if (layers?.base !== undefined) found.push({ name: 'base', path: layers.base });
  for (const { match, from } of layers?.labels ?? []) {
    const wanted = Object.entries(match);
    if (!wanted.every(([label, value]) => Object.hasOwn(labels, label) && labels[label] === value)) continue;
    found.push({ name: `labels ${wanted.map((pair) => pair.join('=')).join(', ')}`, path: from });
  }
  // A site may have a name that no folder can have.
  if (layers?.sites !== undefined && site !== null && segmentFault(site) === null)
    found.push({ name: `site ${site}`, path: layers.sites.replace('*', () => site) });
  return [...found, { name: 'device', path }];
}

/** The files of a shared layer, which are the same for every device. A layer without a folder has no files. */
export function sharedFiles(deps: LayerDeps, layer: Layer): Promise<LayerFiles> {
  const key = `${layer.name} ${layer.path}`;
  const known = deps.shared.get(key) ?? readShared(deps, layer);
  deps.shared.set(key, known);
  return known;
}

export function ownFiles(folder: Folder, layer: Layer, listed: ListedFiles, fleet: Fleet): LayerFiles {
  return partsOf(layer, listed, fleet, (path) => inRepository(folder, path));
}

async function readShared(deps: LayerDeps, layer: Layer): Promise<LayerFiles> {
  const entry = await deps.objects.find(deps.rootTreeOid, layer.path);
  if (entry === null) return { parts: new Map(), faults: [], errors: [] };
  if (entry.mode !== '040000') {
    const error = configError({ code: 'path', file: layer.path, rule: 'layer', detail: 'is a layer, must be a folder' });
    return { parts: new Map(), faults: [], errors: [error] };
  }
  const listed = await listFiles(deps, layer.path, entry.oid);
  if (listed.errors.length > 0) return { parts: new Map(), faults: [], errors: listed.errors };
  return partsOf(layer, listed, deps.fleet, (path) => joinPath(layer.path, path));
}

function partsOf(
  layer: Layer,
  { files, faults }: ListedFiles,
  { templates = [] }: Fleet,
  inRepositoryAt: (path: string) => string,
): LayerFiles {
  const found = {
    parts: new Map<string, Part>(),
    // A file that stands for another is selected by the other's name.
    faults: faults.map((fault) => ({ ...fault, path: targetOf(fault.path, templates).target })),
    errors: [] as ConfigError[],
  };
  for (const { path, oid, mode } of files) {
    const { target, isTemplate, removes } = targetOf(path, templates);
    const part: Part = { layer, file: inRepositoryAt(path), oid, mode, isTemplate, removes };
    const other = found.parts.get(target);
    if (other !== undefined || target === '' || target.endsWith('/')) found.errors.push(ambiguous(part, target, other));
    found.parts.set(target, part);
  }
  return found;
}

function targetOf(path: string, templates: readonly string[]): { target: string; isTemplate: boolean; removes: boolean } {
  const removes = path.endsWith(REMOVED_SUFFIX) && path !== REMOVED_SUFFIX;
  const kept = removes ? path.slice(0, -REMOVED_SUFFIX.length) : path;
  const isTemplate = templates.some((glob) => matchesGlob(glob, kept));
  const target = isTemplate && kept.endsWith(TEMPLATE_SUFFIX) ? kept.slice(0, -TEMPLATE_SUFFIX.length) : kept;
  return { target, isTemplate, removes };
}

function ambiguous({ file }: Part, target: string, other: Part | undefined): ConfigError {
  const detail =
    other === undefined ? 'is left without a name' : `stands for ${JSON.stringify(target)}, as ${JSON.stringify(other.file)} does`;
  return configError({ code: 'path', file, rule: 'unique', detail });
}
