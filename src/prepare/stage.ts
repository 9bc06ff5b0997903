import type { ConfigError } from '../revision/revision.ts';

/**
 * The result of a stage. `value` is null where the folder's road ends. Errors may also accompany a value. `dependencies` are the files and folders
 * outside the device's folder that the result depends on, as paths of the repository.
 */
export type Stage<T> = Found<T> | Refused;
type Notes = { errors: readonly ConfigError[]; dependencies: readonly string[] };
export type Found<T> = Notes & { value: T };
export type Refused = Notes & { value: null };

const NONE: readonly never[] = [];

export function found<T>(value: T, errors: readonly ConfigError[] = NONE, dependencies: readonly string[] = NONE): Found<T> {
  return { value, errors, dependencies };
}

export function refused(...errors: ConfigError[]): Refused {
  return { value: null, errors, dependencies: NONE };
}

/** Merges the errors and dependencies of several stages or parts of one, in their order. */
export class Findings {
  readonly errors: ConfigError[] = [];
  readonly dependencies = new Set<string>();

  /** @returns the value of the stage */
  take<T>({ value, errors, dependencies }: Stage<T>): T | null {
    this.errors.push(...errors);
    for (const path of dependencies) this.dependencies.add(path);
    return value;
  }
}
