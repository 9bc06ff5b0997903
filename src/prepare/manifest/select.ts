import { globBase, isGlob, matchesBelow } from '../../document/glob.ts';
import type { TreeFile } from '../../git/pack/tree-diff.ts';
import { configError } from '../../revision/config-error.ts';
import type { ConfigError } from '../../revision/revision.ts';
import { pathCollision, pathFault } from '../../wire/path.ts';
import type { FileFault } from '../list-files.ts';
import type { DeviceConfig, FileRule } from './device-config.ts';
import { LEFT_OUT_HINT, passesOver, selects } from './left-out.ts';
import { matchesNothing } from './near-miss.ts';

/** A file on its way to the device. `from` is relative to the device's folder, `to` to the device's root. */
export type SelectedFile = { from: string; to: string; mode: string; oid: string };

export type Selection = { files: SelectedFile[]; errors: ConfigError[] };

export type ManifestPlace = {
  /** Path in the repository, of the folder itself when it has no manifest. */
  file: string;
  lineOf(path: readonly string[]): number | undefined;
};

/** Faults and limits of a selection. */
export type SelectionBounds = { faults: readonly FileFault[]; maxFiles: number };

/**
 * The files that a manifest selects from those of its folder (paths relative to it, the manifest left out), sorted by path on the device.
 * Faults of the folder are errors only where a rule reaches them.
 */
export function selectFiles(
  available: readonly TreeFile[],
  config: DeviceConfig,
  place: ManifestPlace,
  { faults, maxFiles }: SelectionBounds,
): Selection {
  const errors: ConfigError[] = [];
  const selected = new Map<string, SelectedFile>();
  for (const [index, rule] of config.files.entries()) {
    const matching = available.filter((file) => selects(rule.from, file.path));
    const refuse = (key: string, detail: string): void => {
      const path = ['files', String(index), key];
      errors.push(
        configError({ code: 'manifest', file: place.file, line: place.lineOf(path), pointer: `/${path.join('/')}`, rule: 'files', detail }),
      );
    };
    // The caller reports an empty selection of everything.
    const isAll = config.files.length === 1 && rule.from === '**';
    if (matching.length === 0 && !isAll && !faults.some((fault) => reaches(rule.from, fault))) {
      const hint = isGlob(rule.from) && available.length > 0 ? `: ${LEFT_OUT_HINT}` : '';
      refuse('from', matchesNothing(rule.from, available, hint));
    }
    if (isGlob(rule.from) && rule.to !== undefined && !rule.to.endsWith('/')) refuse('to', 'must end in "/" when "from" has a wildcard');
    for (const file of matching) {
      const to = target(rule, file.path);
      const fault = pathFault(to);
      if (fault !== null) refuse('to', `gives ${JSON.stringify(to)}, which ${fault}`);
      selected.set(to, { from: file.path, to, mode: rule.mode ?? (file.mode === '100755' ? '0755' : '0644'), oid: file.oid });
    }
  }
  const files = [...selected.values()].sort((a, b) => (a.to < b.to ? -1 : 1));
  errors.push(...faultsReached(config, [...selected.values()], faults));
  if (files.length > maxFiles) {
    const detail = `selects ${files.length} files, must select <= ${maxFiles}`;
    errors.push(configError({ code: 'too_large', file: place.file, rule: 'maxBundleFiles', limit: maxFiles, detail }));
  }
  const collision = errors.some(({ rule }) => rule === 'case_duplicate') ? null : pathCollision(files.map((file) => file.to));
  if (collision !== null) {
    const detail = `selects ${JSON.stringify(collision.first)} and ${JSON.stringify(collision.second)}, which cannot both exist on every device`;
    errors.push(configError({ code: 'path', file: place.file, rule: 'unique', detail }));
  }
  return { files, errors };
}

function faultsReached({ files: rules }: DeviceConfig, selected: readonly SelectedFile[], faults: readonly FileFault[]): ConfigError[] {
  const takes = (path: string) => selected.some(({ from }) => from === path || from.startsWith(`${path}/`));
  const reached = faults.filter((fault) =>
    fault.twin === undefined ? rules.some(({ from }) => reaches(from, fault)) : takes(fault.path) && takes(fault.twin),
  );
  return [...new Set(reached.map(({ error }) => error))];
}

function reaches(from: string, { path, reach }: FileFault): boolean {
  if (selects(from, path)) return true;
  if (reach === 'file') return false;
  // A link holds nothing that a wildcard could find; who names a place below it means what it stands for.
  const base = isGlob(from) ? globBase(from) : from;
  return base.startsWith(`${path}/`) || (reach === 'folder' && matchesBelow(from, path) && !passesOver(from, path));
}

function target(rule: FileRule, path: string): string {
  if (rule.to === undefined) return path;
  if (!rule.to.endsWith('/')) return rule.to;
  return rule.to + (isGlob(rule.from) ? path.slice(globBase(rule.from).length) : (path.split('/').at(-1) ?? path));
}
