import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Problem } from '../errors.ts';
import { detailOf } from '../revision/config-error.ts';
import { FLEET_MANIFEST_NAMES } from '../revision/manifest/fleet.ts';
import { prepareRevision } from '../revision/prepare.ts';
import type { ConfigError, Layout } from '../revision/revision.ts';
import { DIRECTORY_COMMIT, directorySource } from './directory-source.ts';

export type CheckoutVerdict = {
  errors: ConfigError[];
  /** Device folders that were looked at. */
  paths: number;
};

/**
 * Validates the files of a working tree, committed or not, exactly as the controller validates a commit; needs neither Git nor a network.
 * @param options.layout default: `fleet` when there is a fleet manifest, else `repo`
 * @throws Problem `not_found` when `dir` is no directory
 */
export async function validateCheckout(dir: string, options: { layout?: Layout; signal?: AbortSignal } = {}): Promise<CheckoutVerdict> {
  const root = resolve(dir);
  if (!(await stat(root).catch(() => null))?.isDirectory()) {
    throw new Problem('not_found', `Cannot validate "${dir}": it is not a directory`, { status: 404 });
  }
  const layout = options.layout ?? (await detectLayout(root));
  const revision = await prepareRevision(directorySource(root), {
    commit: DIRECTORY_COMMIT,
    layout,
    previous: null,
    signal: options.signal,
  });
  return { errors: [...revision.errors, ...revision.paths.flatMap((path) => path.errors)], paths: revision.paths.length };
}

/** One line per error, `file:line:pointer: rule: message`, for editors and continuous integration. Line is 1 where none is known. */
export function formatErrors(errors: readonly ConfigError[]): string {
  return errors.map((error) => `${formatError(error)}\n`).join('');
}

function formatError(error: ConfigError): string {
  const { file, line, pointer, rule } = error;
  return `${file === '' ? '.' : file}:${line ?? 1}:${pointer}: ${rule}: ${detailOf(error)}`;
}

async function detectLayout(root: string): Promise<Layout> {
  const found = await Promise.all(FLEET_MANIFEST_NAMES.map((name) => stat(join(root, name)).catch(() => null)));
  return found.some((entry) => entry !== null) ? 'fleet' : 'repo';
}
