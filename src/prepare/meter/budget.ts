import type { RevisionLimits } from '../../revision/limits.ts';

/** The next folder gets this part of the rest, and at most its own limit. */
const SHARE = 1 / 3;
/** A smaller slice is of no use. */
const MIN_SLICE_MS = 10;
/** Part of the caller's time that slow folders may use: the thread may have to share its processor with others. */
const PART_OF_LIMIT = 1 / 6;
/** Errors name only folders and schemas that spent at least this part. */
const NAMED = 1 / 100;

/**
 * The processor time that the slow folders and schemas of one commit may use together. Each one that uses up its time leaves less for the next.
 * Many of them therefore end with a verdict each, before the deadline of the commit. Folders without slow files are not concerned.
 */
export class Budget {
  readonly maxMs: number;
  readonly totalMs: number;
  #leftMs: number;
  #spent = new Map<string, number>();

  /** @param limitMs wall time after which the caller gives up */
  constructor(limits: RevisionLimits, limitMs = Number.POSITIVE_INFINITY) {
    this.maxMs = limits.maxValidationMs;
    this.totalMs = Math.max(0, Math.min(limits.maxCommitValidationMs, limitMs * PART_OF_LIMIT));
    this.#leftMs = this.totalMs;
  }

  /** The time that a folder may use now; 0 after the budget is used up. */
  sliceMs(): number {
    const share = this.#leftMs * SHARE;
    return share < MIN_SLICE_MS ? 0 : Math.min(this.maxMs, share);
  }

  spend(path: string, ms: number): void {
    this.#leftMs -= ms;
    this.#spent.set(path, (this.#spent.get(path) ?? 0) + ms);
  }

  /** The folders and schemas that used the time. */
  spenders(): string[] {
    return [...this.#spent].filter(([, ms]) => ms >= this.totalMs * NAMED).map(([path]) => path);
  }
}
