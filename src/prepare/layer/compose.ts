import type { DeviceFacts, Fact } from '../../device/facts.ts';
import { differingFacts, factsOfFolder } from '../../device/facts.ts';
import type { TreeFile } from '../../git/pack/tree-diff.ts';
import { configError } from '../../revision/config-error.ts';
import type { Folder } from '../folders.ts';
import { inRepository } from '../folders.ts';
import type { FileFault, ListedFiles } from '../list-files.ts';
import type { Meter } from '../meter/meter.ts';
import type { Stage } from '../stage.ts';
import { Findings, found } from '../stage.ts';
import { assemble } from './assemble.ts';
import type { ComposedFile, Layer, LayerDeps, Layered, Part } from './layer.ts';
import { layersFor, ownFiles, sharedFiles } from './layers.ts';
import { readVariables, scopeOf } from './scope.ts';

/** `dependsOnDevice`: another device may get another outcome, errors included. */
export type LayerStage = Stage<Layered> & { dependsOnDevice: boolean };

/** The layer stage where devices get just the files of their folders. */
export function withoutLayers(folder: Folder, { files, faults }: ListedFiles): LayerStage {
  const layered = {
    files,
    faults,
    layers: [{ name: 'device', path: folder.path }],
    removed: new Map(),
    composed: new Map(),
    variables: null,
  };
  return { ...found(layered), dependsOnDevice: false };
}

/**
 * The layer stage: the files that the device of a folder gets from its layers and its own folder, merged and rendered. Devices that share the
 * folder must all get the same.
 */
export async function compose(folder: Folder, own: ListedFiles, deps: LayerDeps, meter: Meter): Promise<LayerStage> {
  const { fleet, sourceName } = deps;
  const bound = deps.devices.get(folder.path) ?? [];
  const facts = bound[0] ?? factsOfFolder(folder.path);
  const layers = layersFor(fleet, folder.path, facts);
  const uses = new Set<Fact>();
  const findings = new Findings();
  const end = (value: Layered | null): LayerStage => {
    const { errors, dependencies } = findings;
    const notes = { errors, dependencies: [...dependencies], dependsOnDevice: layersDepend(deps) || uses.size > 0 };
    return value === null || errors.length > 0 ? { value: null, ...notes } : { value, ...notes };
  };
  const stacked = findings.take(await stack(folder, layers, own, deps));
  const isTemplated = fleet.templates !== undefined;
  const variables = findings.take(
    await readVariables(deps, meter, folder, isTemplated ? (stacked?.stacks.get(fleet.variables) ?? []) : []),
  );
  if (stacked === null || variables === null || findings.errors.length > 0) return end(null);
  const { stacks, removed, faults } = stacked;
  if (isTemplated) stacks.delete(fleet.variables);
  const scope = scopeOf(variables, facts, sourceName, (fact) => uses.add(fact));
  const files: TreeFile[] = [];
  const composed = new Map<string, ComposedFile>();
  for (const [name, parts] of stacks) {
    const file = findings.take(await assemble(deps, meter, { folder, scope }, name, parts));
    if (file !== null) files.push(file.entry);
    if (file?.made) composed.set(inRepository(folder, name), file.made);
    // The rest would only give the same error.
    if (meter.isOver) break;
  }
  findings.take(await refuseDifferent(folder, deps, bound, uses));
  return end({ files, faults, layers, removed, composed, variables });
}

type Stacks = { stacks: Map<string, [Part, ...Part[]]>; removed: Map<string, Part>; faults: FileFault[] };

/** By the path in the device's folder, the parts that each layer has of a file, without those before its removal. */
async function stack(folder: Folder, layers: readonly Layer[], own: ListedFiles, deps: LayerDeps): Promise<Stage<Stacks>> {
  const findings = new Findings();
  const stacks: Stacks['stacks'] = new Map();
  const removed = new Map<string, Part>();
  let faults: FileFault[] = [];
  for (const [index, layer] of layers.entries()) {
    const isOwn = index === layers.length - 1;
    const given = isOwn ? ownFiles(folder, layer, own, deps.fleet) : await sharedFiles(deps, layer);
    findings.take({ value: null, errors: given.errors, dependencies: isOwn ? [] : [layer.path] });
    faults.push(...given.faults);
    for (const [name, part] of given.parts) {
      if (part.removes) {
        if (stacks.delete(name)) removed.set(name, part);
        faults = faults.filter((fault) => fault.path !== name);
      } else {
        const below = stacks.get(name);
        stacks.set(name, below === undefined ? [part] : [...below, part]);
        removed.delete(name);
      }
    }
  }
  const { maxListedFiles } = deps.limits;
  if (stacks.size > maxListedFiles) {
    const detail = `gets more than ${maxListedFiles} files from its layers`;
    findings.errors.push(configError({ code: 'too_large', file: folder.path, rule: 'maxListedFiles', limit: maxListedFiles, detail }));
  }
  return found({ stacks, removed, faults }, findings.errors, [...findings.dependencies]);
}

function layersDepend({ fleet: { layers } }: LayerDeps): boolean {
  return layers?.sites !== undefined || (layers?.labels.length ?? 0) > 0;
}

/** Devices that share a folder get one bundle: it must not matter for which of them it is made. */
async function refuseDifferent(
  folder: Folder,
  deps: LayerDeps,
  bound: readonly DeviceFacts[],
  uses: ReadonlySet<Fact>,
): Promise<Stage<null>> {
  const { path } = folder;
  const [first, ...others] = bound;
  if (first === undefined || others.length === 0) return found(null);
  const findings = new Findings();
  const layers = findings.take(await layersInUse(folder, deps, first));
  for (const other of others) {
    const isSame = findings.take(await layersInUse(folder, deps, other)) === layers;
    const differing = isSame ? differingFacts(first, other, uses) : ['layers'];
    if (differing.length === 0) continue;
    const names = `${JSON.stringify(first.id)} and ${JSON.stringify(other.id)}`;
    const detail = `is the folder of ${bound.length} devices, of which ${names} differ in ${differing.join(', ')}: give each a folder of its own`;
    findings.errors.push(configError({ code: 'device', file: path, rule: 'shared', detail }));
    break;
  }
  return found(null, findings.errors, [...findings.dependencies]);
}

/** Names of the layers that have something for the device. */
async function layersInUse({ path }: Folder, deps: LayerDeps, facts: DeviceFacts): Promise<Stage<string>> {
  const names: string[] = [];
  const layers = layersFor(deps.fleet, path, facts).slice(0, -1);
  for (const layer of layers) if ((await sharedFiles(deps, layer)).parts.size > 0) names.push(layer.name);
  return found(
    names.join(),
    [],
    layers.map((layer) => layer.path),
  );
}
