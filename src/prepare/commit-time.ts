import { commitTimeUsed, validationTimeout } from '../revision/config-error.ts';
import type { RevisionLimits } from '../revision/limits.ts';
import type { ConfigError } from '../revision/revision.ts';
import { TookTooLong } from './time-limit.ts';

/** The next folder gets this part of what is left, and at most its own limit. */
const SHARE = 1 / 3;
/** Less is of no use. */
const MIN_SLICE_MS = 10;
/** A folder spends nothing of the commit's time before it has taken this part of its own. */
const FREE = 1 / 4;
/** Who spent less is not named. */
const NAMED = 1 / 100;

/**
 * The time that the slow folders and schemas of one commit may take together. Each one that runs out of its time leaves less for the next: many of them end
 * with a verdict each, not with the deadline of the commit. Folders that need no clock are not concerned.
 */
export class CommitTime {
  readonly maxMs: number;
  readonly #totalMs: number;
  #leftMs: number;
  #spent = new Map<string, number>();

  /** @param msLeft until the deadline of the commit */
  constructor(limits: RevisionLimits, msLeft = Number.POSITIVE_INFINITY) {
    this.maxMs = limits.maxValidationMs;
    this.#totalMs = Math.max(0, Math.min(limits.maxCommitValidationMs, msLeft / 2));
    this.#leftMs = this.#totalMs;
  }

  /** What a folder may take now; 0 after the time was used up. */
  sliceMs(): number {
    const share = this.#leftMs * SHARE;
    return share < MIN_SLICE_MS ? 0 : Math.min(this.maxMs, share);
  }

  spend(path: string, ms: number): void {
    this.#leftMs -= ms;
    this.#spent.set(path, (this.#spent.get(path) ?? 0) + ms);
  }

  /** The folders and schemas that took the time. */
  spenders(): string[] {
    return [...this.#spent].filter(([, ms]) => ms >= this.#totalMs * NAMED).map(([path]) => path);
  }
}

/** The time of one folder or schema. */
export class OwnTime {
  readonly #commit: CommitTime;
  readonly #path: string;
  #tookMs = 0;
  #chargedMs = 0;
  #limitMs: number;

  constructor(commit: CommitTime, path: string) {
    this.#commit = commit;
    this.#path = path;
    this.#limitMs = commit.maxMs;
  }

  get isOver(): boolean {
    return this.#tookMs > this.#limitMs;
  }

  /**
   * @param isQuick what needs no clock is done even after the commit's time was used up
   * @throws TookTooLong, and whatever `work` throws
   */
  run<T>(isQuick: boolean, work: (msLeft: number) => T): T {
    this.#limitMs = isQuick ? this.#commit.maxMs : this.#commit.sliceMs();
    const started = performance.now();
    let ranOut = false;
    try {
      const msLeft = this.#limitMs - this.#tookMs;
      if (msLeft <= 0) throw new TookTooLong('Cannot go on: the time is over');
      return work(msLeft);
    } catch (error) {
      ranOut = error instanceof TookTooLong;
      throw error;
    } finally {
      this.#tookMs += performance.now() - started;
      this.#charge(ranOut ? this.#tookMs : this.#tookMs - this.#limitMs * FREE);
    }
  }

  /** What to say after `TookTooLong`. @param doing after "to": `be validated` */
  error(file: string, doing: string): ConfigError {
    const others = this.others();
    if (this.#limitMs === 0) return commitTimeUsed(file, doing, others);
    return validationTimeout(file, Math.round(this.#limitMs), doing, this.#limitMs < this.#commit.maxMs ? others : []);
  }

  /** Those that took the commit's time; this one is as much their fault as its own when its time was cut. */
  others(): string[] {
    return this.#limitMs < this.#commit.maxMs ? this.#commit.spenders().filter((path) => path !== this.#path) : [];
  }

  #charge(dueMs: number): void {
    if (dueMs <= this.#chargedMs) return;
    this.#commit.spend(this.#path, dueMs - this.#chargedMs);
    this.#chargedMs = dueMs;
  }
}
