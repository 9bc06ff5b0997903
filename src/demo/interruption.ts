import { Problem } from '../errors.ts';

/** A person, the system or a mistake ends the demonstration early. */
export type Interruption = {
  /** Its reason is a Problem `interrupted` when somebody asked for the end. */
  signal: AbortSignal;
  close(): Promise<void>;
};

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Until `end`, none of these ends this process by itself: what it started has to end first. A second Ctrl-C changes nothing, since npm
 * passes on the one that the terminal sent already.
 */
export function listenForInterruption(): Interruption {
  const interrupted = new AbortController();
  const onSignal = (name: NodeJS.Signals) => interrupted.abort(new Problem('interrupted', `stopped by ${name}`));
  const onError = (error: unknown) => interrupted.abort(error);
  for (const name of SIGNALS) process.on(name, onSignal);
  process.on('uncaughtException', onError);
  // A reader that has gone away, as `head` does: writing on is an error that nobody would see.
  process.stdout.on('error', onError);
  process.stderr.on('error', onError);
  return {
    signal: interrupted.signal,
    async close() {
      for (const name of SIGNALS) process.off(name, onSignal);
      process.off('uncaughtException', onError);
    },
  };
}
