import { isGlob, matchesGlob, matchesName } from '../../document/glob.ts';

/**
 * Files that stand in repositories for people and their tools, not for devices: a wildcard passes them over, and so does the default of `files`.
 * - Hidden ones: a name in the path begins with a dot (`.gitlab-ci.yml`, `.github/`, `.devcontainer/`, `.editorconfig`). As in a shell, a
 *   pattern takes them where its own part begins with a dot.
 * - At the top of the folder: README, LICENSE, CHANGELOG and their like, and the pipelines that have no dot. `*` and `**` pass them over.
 */
export function selects(pattern: string, path: string): boolean {
  return isGlob(pattern) ? matchesGlob(pattern, path) && !passesOver(pattern, path) : pattern === path;
}

/** Whether a wildcard leaves out a file, or all of a folder, although it would match. */
export function passesOver(pattern: string, path: string): boolean {
  if (EVERYTHING.has(pattern) && HOUSEKEEPING.test(path)) return true;
  const dotted = pattern.split('/').filter((part) => part.startsWith('.'));
  const hidden = path.split('/').filter((name) => name.startsWith('.'));
  return !hidden.every((name) => dotted.some((part) => matchesName(part, name)));
}

/** The sentence for people whose files were all passed over. */
export const LEFT_OUT_HINT =
  'files that begin with a dot, README, LICENSE and the like are left out; name those that a device needs under "files" in bellwether.yaml';

/** The sentence for people whose tools' files are taken for a device's. */
export const IGNORE_HINT = 'if it is not meant for devices, name it under "ignore" in bellwether.yaml';

const EVERYTHING = new Set(['*', '**', '**/*']);
const HOUSEKEEPING =
  /^(?:(?:README|LICEN[CS]E|COPYING|NOTICE|CHANGELOG|CONTRIBUTING|CODE_OF_CONDUCT|SECURITY|AUTHORS)(?:[.-][^/]*)?|CODEOWNERS|Jenkinsfile|(?:azure|bitbucket)-pipelines\.ya?ml|renovate\.json5?)$/i;
