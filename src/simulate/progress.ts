import { unreachable } from '../async/unreachable.ts';
import type { SimulationEvent } from './context.ts';

/** Counts of a simulation so far. `failed`: attempts, including the `refused` ones; `away`: devices that are disconnected now. */
export type Counts = {
  ready: number;
  succeeded: number;
  failed: number;
  refused: number;
  rolledBack: number;
  away: number;
  troubles: number;
};

export type Progress = { counts: Readonly<Counts>; take(event: SimulationEvent): void; end(): void };

const PRINT_INTERVAL_MS = 1_000;
const MAX_TROUBLE = 200;

/** Counts events. It prints a line after each second with a change, and one at the end. */
export function startProgress(devices: number, print: (line: string) => void): Progress {
  const counts: Counts = { ready: 0, succeeded: 0, failed: 0, refused: 0, rolledBack: 0, away: 0, troubles: 0 };
  let printed = '';
  let lastTrouble = '';
  const printLine = (): void => {
    const line = lineOf(devices, counts);
    if (line !== printed) print(`${line}${lastTrouble === '' ? '' : `  (${lastTrouble})`}`);
    printed = line;
    lastTrouble = '';
  };
  const timer = setInterval(printLine, PRINT_INTERVAL_MS);
  return {
    counts,
    take: (event) => {
      count(counts, event);
      if (event.kind === 'trouble') lastTrouble = event.problem.replaceAll(/\s+/g, ' ').slice(0, MAX_TROUBLE);
    },
    end: () => {
      clearInterval(timer);
      printLine();
    },
  };
}

function count(counts: Counts, event: SimulationEvent): void {
  switch (event.kind) {
    case 'ready':
      counts.ready += 1;
      return;
    case 'trouble':
      counts.troubles += 1;
      return;
    case 'presence':
      counts.away += event.state === 'away' ? 1 : -1;
      return;
    case 'deployment':
      if (event.state === 'succeeded') counts.succeeded += 1;
      if (event.state === 'failed') counts.failed += 1;
      if (event.state === 'failed' && event.code === 'refused') counts.refused += 1;
      if (event.state === 'rolled_back') counts.rolledBack += 1;
      return;
    default:
      unreachable(event);
  }
}

function lineOf(devices: number, counts: Counts): string {
  const { ready, succeeded, failed, refused, rolledBack, away, troubles } = counts;
  const words = { devices, ready, succeeded, failed, refused, 'rolled back': rolledBack, away, troubles };
  return Object.entries(words)
    .map(([word, number]) => `${word} ${number}`)
    .join('  ');
}
