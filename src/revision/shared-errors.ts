import type { ConfigError } from './revision.ts';

export type FolderErrors = { path: string; errors: readonly ConfigError[] };

/** Folders that are named one by one. */
const MAX_NAMED = 3;

/**
 * The errors of all folders, each once: one in a file outside of the folders that it stops names these.
 * @param others folders that are named where they share an error, but give none of their own
 */
export function sharedErrors(folders: readonly FolderErrors[], others: readonly FolderErrors[] = []): ConfigError[] {
  const groups = new Map<string, { error: ConfigError; paths: string[] }>();
  for (const { path, errors } of folders) {
    for (const error of errors) {
      const group = groups.get(error.message) ?? { error, paths: [] };
      groups.set(error.message, group);
      group.paths.push(path);
    }
  }
  for (const { path, errors } of others) for (const { message } of errors) groups.get(message)?.paths.push(path);
  return [...groups.values()].map(({ error, paths }) => {
    // Errors of files that layers made name their folder already.
    const isOutside = error.rendered === undefined && paths.every((path) => !isIn(path, error.file));
    return isOutside ? { ...error, message: `${error.message}; it stops ${namesOf(paths)}` } : error;
  });
}

/** The only folder of a repository of one device is the repository itself. */
function isIn(folder: string, file: string): boolean {
  return folder === '' || file === folder || file.startsWith(`${folder}/`);
}

function namesOf(paths: readonly string[]): string {
  const named = paths.slice(0, MAX_NAMED);
  const more = paths.length - named.length;
  if (more > 0) return `${paths.length} folders: ${named.join(', ')} and ${more} more`;
  return `${paths.length === 1 ? 'the folder' : `${paths.length} folders:`} ${named.join(', ')}`;
}
