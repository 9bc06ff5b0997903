import { commitTimeUsed, validationTimeout } from '../../revision/config-error.ts';
import type { ConfigError } from '../../revision/revision.ts';
import type { Stage } from '../stage.ts';
import { found } from '../stage.ts';
import type { Budget } from './budget.ts';
import { TookTooLong, threadCpuMs, withinCpuTime } from './cpu-limit.ts';

/** A folder spends nothing of the commit's time before it has used this part of its own. */
const FREE = 1 / 4;

/** The time that a measured function may use. */
export type Allowance = {
  msLeft: number;
  /** Stops `run` when it has used that time; see `withinCpuTime`. Quick work runs without a clock. @throws TookTooLong */
  within<T>(run: () => T): T;
};

/** `file` and `doing` (after "to") are for errors. `isQuick`: small and linear, so that it needs no clock. */
export type MeteredStep = { file: string; doing: string; isQuick: boolean };

/** Measures what one folder or schema uses: processor time, and bytes that were read. */
export class Meter {
  /** Sum over all files read. A file that is selected and validated counts twice. */
  readBytes = 0;
  #budget: Budget;
  #path: string;
  #usedMs = 0;
  #chargedMs = 0;
  #limitMs: number;

  constructor(budget: Budget, path: string) {
    this.#budget = budget;
    this.#path = path;
    this.#limitMs = budget.maxMs;
  }

  get isOver(): boolean {
    return this.#usedMs >= this.#limitMs;
  }

  /**
   * @param isQuick work that needs no clock runs even after the commit's time was used up
   * @throws TookTooLong, and whatever `work` throws
   */
  run<T>(isQuick: boolean, work: (allowance: Allowance) => T): T {
    this.#limitMs = isQuick ? this.#budget.maxMs : this.#budget.sliceMs();
    const started = threadCpuMs();
    let wastedMs = 0;
    const msLeft = this.#limitMs - this.#usedMs;
    let ranOut = false;
    try {
      if (msLeft <= 0) throw new TookTooLong('Cannot go on: the time is over');
      const repeated = (ms: number): void => {
        wastedMs += ms;
        this.#budget.note(ms);
      };
      return work({ msLeft, within: (run) => (isQuick ? run() : withinCpuTime(msLeft, run, repeated, this.#budget.firstMs)) });
    } catch (error) {
      ranOut = error instanceof TookTooLong;
      throw error;
    } finally {
      const usedMs = threadCpuMs() - started - wastedMs;
      this.#budget.note(usedMs);
      // An interruption may come late on a busy machine. The commit does not pay for that.
      this.#usedMs += ranOut ? Math.min(usedMs, Math.max(0, msLeft)) : usedMs;
      if (ranOut && msLeft > 0) this.#budget.ranOut();
      this.#charge(ranOut ? this.#usedMs : this.#usedMs - this.#limitMs * FREE);
    }
  }

  /** Runs a step of a folder's stage. The files of a folder share its time: after it one error says so, and the other folders go on. */
  step<T>({ file, doing, isQuick }: MeteredStep, work: (allowance: Allowance) => T): Stage<T> {
    try {
      return found(this.run(isQuick, work));
    } catch (error) {
      if (!(error instanceof TookTooLong)) throw error;
      const errors = [this.error(file, `${doing} (with the files of its folder before it)`)];
      // When those are fixed, this folder has to be read again.
      return { value: null, errors, dependencies: this.others().filter((path) => path !== '') };
    }
  }

  /** The error after `TookTooLong`. @param doing after "to": `be validated` */
  error(file: string, doing: string): ConfigError {
    const others = this.others();
    if (this.#limitMs === 0) return commitTimeUsed(file, doing, others);
    return validationTimeout(file, Math.round(this.#limitMs), doing, this.#limitMs < this.#budget.maxMs ? others : []);
  }

  /** Those that used the commit's time. Where this one's time was cut, they are as much at fault as itself. */
  others(): string[] {
    return this.#limitMs < this.#budget.maxMs ? this.#budget.spenders().filter((path) => path !== this.#path) : [];
  }

  #charge(dueMs: number): void {
    if (dueMs <= this.#chargedMs) return;
    this.#budget.spend(this.#path, dueMs - this.#chargedMs);
    this.#chargedMs = dueMs;
  }
}
