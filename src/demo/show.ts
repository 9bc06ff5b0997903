import { z } from 'zod';
import { isProblem, Problem } from '../errors.ts';
import type { LiveEvent } from '../wire/live.ts';
import type { Output } from './output.ts';
import type { Stack, StackOptions } from './stack/stack.ts';

/** One demonstration, from the start of its parts to its summary. */
export type Show<Opened extends Stack> = {
  open(options: StackOptions, stopped: AbortSignal): Promise<Opened>;
  /** Plays all steps. @throws Problem when a promised effect is not observed */
  play(opened: Opened, out: Output, elapsed: () => string): Promise<void>;
  /** Prints what a person can try while everything runs. */
  printNextSteps(opened: Opened, out: Output): Promise<void>;
  /** The line for an event while everything runs. undefined: no line. */
  textOf(event: LiveEvent): string | undefined;
  isComplete(): boolean;
  /** The observations, for the line of JSON. */
  summary(): object;
};

export type ShowFlags = { port: number; data?: string; exit?: boolean };

/** Time from the start to the end of the last step. Generous: it ends a demonstration that hangs, not a slow one. */
const LIMIT_MS = 600_000;

/** Opens the demonstration, plays its steps, keeps it up unless `exit` is set, and always closes it. @returns the error */
export async function perform<Opened extends Stack>(
  show: Show<Opened>,
  flags: ShowFlags,
  out: Output,
  interrupted: AbortSignal,
): Promise<unknown> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(new Problem('demo_incomplete', `not done within ${LIMIT_MS / 1000} s`)), LIMIT_MS);
  const startedMs = performance.now();
  const elapsed = () => `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
  let isOver = false;
  let opened: Opened | undefined;
  try {
    const onEvent = (event: LiveEvent): void => {
      if (isOver) printEvent(event, show.textOf(event), out);
    };
    const options = { port: flags.port, dataDir: flags.data, say: out.line, warn: out.warn, onEvent };
    opened = await show.open(options, AbortSignal.any([interrupted, limit.signal]));
    await show.play(opened, out, elapsed);
    clearTimeout(timer);
    isOver = true;
    out.line(`  the whole demonstration ${elapsed()}`);
    if (flags.exit !== true) await stayUp(show, opened, out);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    clearTimeout(timer);
    await opened?.close();
  }
}

function printEvent(event: LiveEvent, text: string | undefined, out: Output): void {
  if (text !== undefined) out.line(`  ${event.at.slice(11, 19)}  ${text}`);
}

/** Last of all, so that nobody has to search for it. */
async function printLoginLink({ api }: Stack, out: Output): Promise<void> {
  const { url } = z.object({ url: z.url() }).parse(await api.send('POST', '/session-links', {}));
  out.line(`  The dashboard, signed in by this link once within ten minutes:\n  ${url}\n`);
}

/** @throws the error that broke the demonstration, unless somebody interrupted it */
async function stayUp<Opened extends Stack>(show: Show<Opened>, opened: Opened, out: Output): Promise<void> {
  await show.printNextSteps(opened, out);
  await printLoginLink(opened, out);
  if (!opened.signal.aborted) await new Promise((done) => opened.signal.addEventListener('abort', done, { once: true }));
  const { reason } = opened.signal;
  if (!isProblem(reason, 'interrupted')) throw reason;
  out.line('\nStopping …');
}
