import type { RevisionLimits } from '../../revision/limits.ts';
import { SLOW_MS } from './cpu-limit.ts';

/** The next folder gets this part of the rest, and at most its own limit. */
const SHARE = 1 / 3;
/** A smaller slice is of no use. */
const MIN_SLICE_MS = 10;
/** Part of the caller's time that slow folders may use: the thread may have to share its processor with others. */
const PART_OF_LIMIT = 1 / 6;
/** Errors name only folders and schemas that spent at least this part. */
const NAMED = 1 / 100;

/** Learns about slow work. */
export type SlowWatch = {
  /** Once, as soon as a single piece of work has used `SLOW_MS`. */
  onSlow?: (() => void) | undefined;
  /** The commit's time that a folder or schema has spent. */
  onSpent?: ((ms: number) => void) | undefined;
};

/**
 * The processor time that the slow folders and schemas of one commit may use together. Each one that uses up its time leaves less for the next.
 * Many of them therefore end with a verdict each, before the deadline of the commit. Folders without slow files are not concerned.
 */
export class Budget {
  readonly maxMs: number;
  readonly totalMs: number;
  readonly #watch: SlowWatch;
  #isSlow = false;
  #ranOut = 0;
  #leftMs: number;
  #spent = new Map<string, number>();

  /**
   * @param limitMs wall time after which the caller gives up
   */
  constructor(limits: RevisionLimits, limitMs = Number.POSITIVE_INFINITY, watch: SlowWatch = {}) {
    this.#watch = watch;
    this.maxMs = limits.maxValidationMs;
    this.totalMs = Math.max(0, Math.min(limits.maxCommitValidationMs, limitMs * PART_OF_LIMIT));
    this.#leftMs = this.totalMs;
  }

  /** The time that a folder may use now; 0 after the budget is used up. */
  sliceMs(): number {
    const slice = Math.min(this.maxMs / 2 ** this.#ranOut, this.#leftMs * SHARE);
    return slice < MIN_SLICE_MS ? 0 : slice;
  }

  /** A folder or schema used up its slice. The next one gets at most half as much: it is most likely of the same kind. */
  ranOut(): void {
    this.#ranOut += 1;
  }

  /** Limit of the first attempt at some work. Only the first slow work matters. */
  get firstMs(): number {
    return this.#isSlow ? Number.POSITIVE_INFINITY : SLOW_MS;
  }

  /** Takes note of the processor time that a piece of work, or an attempt at it, has used. */
  note(ms: number): void {
    if (this.#isSlow || ms < SLOW_MS) return;
    this.#isSlow = true;
    this.#watch.onSlow?.();
  }

  spend(path: string, ms: number): void {
    this.#leftMs -= ms;
    this.#watch.onSpent?.(ms);
    this.#spent.set(path, (this.#spent.get(path) ?? 0) + ms);
  }

  /** The folders and schemas that used the time. */
  spenders(): string[] {
    return [...this.#spent].filter(([, ms]) => ms >= this.totalMs * NAMED).map(([path]) => path);
  }
}
