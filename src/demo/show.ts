import { isProblem, Problem } from '../errors.ts';
import type { LiveEvent } from '../wire/live.ts';
import type { Output } from './output.ts';
import type { Ground, GroundOptions } from './stack/stack.ts';

/** What a demonstration is made of, from its stage to its last word. */
export type Show<Stage extends Ground> = {
  open(options: GroundOptions, stopped: AbortSignal): Promise<Stage>;
  /** Plays all acts. @throws Problem when something that was promised is not observed */
  play(stage: Stage, out: Output, elapsed: () => string): Promise<void>;
  /** What a person may do while everything stands. */
  sayWhatNext(stage: Stage, out: Output): Promise<void>;
  /** What is said of an event while everything stands; nothing when undefined. */
  textOf(event: LiveEvent): string | undefined;
  isComplete(): boolean;
  /** What was observed, for the line of JSON. */
  summary(): object;
};

export type ShowFlags = { port: number; data?: string; exit?: boolean };

/** From the start to the end of the last act: what hangs is ended, not what is slow. */
const LIMIT_MS = 600_000;

/** Opens the stage, plays the acts, stays up unless told to end, and closes the stage, whatever happens. @returns what went wrong */
export async function perform<Stage extends Ground>(
  show: Show<Stage>,
  flags: ShowFlags,
  out: Output,
  interrupted: AbortSignal,
): Promise<unknown> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(new Problem('demo_incomplete', `not done within ${LIMIT_MS / 1000} s`)), LIMIT_MS);
  const startedMs = performance.now();
  const elapsed = () => `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
  let isOver = false;
  let stage: Stage | undefined;
  try {
    const onEvent = (event: LiveEvent): void => {
      if (isOver) tellEvent(event, show.textOf(event), out);
    };
    const options = { port: flags.port, dataDir: flags.data, say: out.line, warn: out.warn, onEvent };
    stage = await show.open(options, AbortSignal.any([interrupted, limit.signal]));
    await show.play(stage, out, elapsed);
    clearTimeout(timer);
    isOver = true;
    out.line(`  the whole demonstration ${elapsed()}`);
    if (flags.exit !== true) await stayUp(show, stage, out);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    clearTimeout(timer);
    await stage?.close();
  }
}

function tellEvent(event: LiveEvent, text: string | undefined, out: Output): void {
  if (text !== undefined) out.line(`  ${event.at.slice(11, 19)}  ${text}`);
}

/** @throws what broke the stage, unless it was told to end */
async function stayUp<Stage extends Ground>(show: Show<Stage>, stage: Stage, out: Output): Promise<void> {
  await show.sayWhatNext(stage, out);
  if (!stage.signal.aborted) await new Promise((done) => stage.signal.addEventListener('abort', done, { once: true }));
  const { reason } = stage.signal;
  if (!isProblem(reason, 'interrupted')) throw reason;
  out.line('\nStopping …');
}
