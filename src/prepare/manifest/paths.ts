import { z } from 'zod';
import { isGlob } from '../../document/glob.ts';
import { segmentFault } from '../../wire/path.ts';

/** Paths that a manifest names. */

export const RepositoryPath = z
  .string()
  .min(1)
  .max(1024)
  .refine((path) => path.split('/').every((name) => segmentFault(name) === null), 'must be a relative path without ".." or empty names');

/** With `*`, `?` and `**`. */
export const Glob = RepositoryPath.refine((path) => path.split('/').length <= 32, 'must have <= 32 folders');

/** A folder of the repository, without wildcards; a `/` at its end is dropped. */
export const FolderPath = z
  .string()
  .max(1024)
  .transform(withoutSlash)
  .pipe(RepositoryPath)
  .refine((path) => !isGlob(path), 'must be a folder, without wildcards');

/** One folder for each of something: `*` stands for its name. */
export const NamedFolderPath = z
  .string()
  .max(1024)
  .transform(withoutSlash)
  .pipe(RepositoryPath)
  .refine(
    (path) => path.split('/').filter((name) => name === '*').length === 1 && !isGlob(path.replace('*', '')),
    'must have "*" once, in place of a folder\'s name',
  );

function withoutSlash(path: string): string {
  return path.replace(/\/$/, '');
}
