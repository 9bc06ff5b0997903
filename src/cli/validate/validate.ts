import { stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { Problem } from '../../errors.ts';
import { BUILT_IN } from '../../integration/registry.ts';
import { RolloutPolicy } from '../../policy/policy.ts';
import { FLEET_MANIFEST_NAMES } from '../../prepare/manifest/fleet.ts';
import { prepareRevision } from '../../prepare/prepare.ts';
import { detailOf } from '../../revision/config-error.ts';
import type { ConfigError, Layout } from '../../revision/revision.ts';
import { sharedErrors } from '../../revision/shared-errors.ts';
import { checkWaves, type PolicyWarning } from '../../rollout/decide/wave-check.ts';
import { committedFiles, type Env } from './committed-files.ts';
import { DIRECTORY_COMMIT, directorySource } from './directory-source.ts';
import { readKnownDevices } from './known-devices.ts';

export type CheckoutVerdict = {
  errors: ConfigError[];
  /** Probable mistakes in the waves of the rollout policy. Empty unless devices are known. */
  warnings: PolicyWarning[];
  /** Number of validated device folders. */
  paths: number;
};

export type ValidateOptions = {
  /** Default: `fleet` if a fleet manifest exists, otherwise `repo`. */
  layout?: Layout;
  /** File with the known devices, on which layers and templates may depend. Without it, only the folders' names are known. */
  devices?: string | undefined;
  /** Environment of the Git that lists the files; default: this process's. */
  env?: Env;
  signal?: AbortSignal;
};

/** Where no devices are known, a folder may be that of a device of any platform: its file is checked if it is there. */
const ANY_ADAPTER = BUILT_IN.all().map(({ kind }) => kind);

/**
 * Validates the files of a working tree that Git would commit, as the controller validates a commit. It needs neither a repository nor a network.
 * @throws Problem `not_found` when `dir` is not a directory, `invalid_devices`
 */
export async function validateCheckout(dir: string, options: ValidateOptions = {}): Promise<CheckoutVerdict> {
  const root = resolve(dir);
  if (!(await stat(root).catch(() => null))?.isDirectory()) {
    throw new Problem('not_found', `Cannot validate "${dir}": it is not a directory`);
  }
  const layout = options.layout ?? (await detectLayout(root));
  const known = options.devices === undefined ? null : await readKnownDevices(options.devices);
  const revision = await prepareRevision(directorySource(root, await committedFiles(root, options.env)), {
    commit: DIRECTORY_COMMIT,
    layout,
    previous: null,
    sourceName: basename(root),
    queries: {
      devicesOf: async (paths) => known?.devicesOf(paths) ?? new Map(),
      adaptersOf: async (paths) => known?.adaptersOf(paths) ?? new Map(paths.map((path) => [path, ANY_ADAPTER])),
      dependents: async () => [],
    },
    signal: options.signal,
  });
  const { rolloutPolicy: written, rolloutPlace } = revision;
  const hasWaves = known !== null && written !== null;
  const waves = hasWaves ? checkWaves(RolloutPolicy.parse(written), rolloutPlace, known.devices) : { errors: [], warnings: [] };
  const errors = [...revision.errors, ...sharedErrors(revision.paths), ...waves.errors];
  return { errors, warnings: waves.warnings, paths: revision.paths.length };
}

/** One line per error, `file:line:pointer: rule: message`, for editors and continuous integration. An unknown line is 1. */
export function formatErrors(errors: readonly ConfigError[]): string {
  return errors.map((error) => `${formatError(error)}\n`).join('');
}

/** One line per warning, in the same form. */
export function formatWarnings(warnings: readonly PolicyWarning[]): string {
  return warnings
    .map(({ file, line, pointer, code, detail }) => `${file === '' ? '.' : file}:${line ?? 1}:${pointer}: warning ${code}: ${detail}\n`)
    .join('');
}

function formatError(error: ConfigError): string {
  const { file, line, pointer, rule } = error;
  return `${file === '' ? '.' : file}:${line ?? 1}:${pointer}: ${rule}: ${detailOf(error)}`;
}

async function detectLayout(root: string): Promise<Layout> {
  const found = await Promise.all(FLEET_MANIFEST_NAMES.map((name) => stat(join(root, name)).catch(() => null)));
  return found.some((entry) => entry !== null) ? 'fleet' : 'repo';
}
