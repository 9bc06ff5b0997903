/** Milliseconds, one decimal. */
export type Percentiles = { p50: number; p99: number };

/** Percentiles by nearest rank. */
export function percentiles(values: readonly number[]): Percentiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => round(sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0, 1);
  return { p50: at(0.5), p99: at(0.99) };
}

export function median(values: readonly number[]): number {
  return percentiles(values).p50;
}

export function round(value: number, decimals: number): number {
  return Math.round(value * 10 ** decimals) / 10 ** decimals;
}

/** One line of a report: the name of a measurement, its value, and its limit. */
export type Row = { what: string; seen: string | number; limit?: string };

/** Prints a small table for people, and JSON for programs in the last line. */
export function report(title: string, rows: readonly Row[], result: Record<string, unknown>): void {
  const width = Math.max(...rows.map((row) => row.what.length));
  const seenWidth = Math.max(...rows.map((row) => String(row.seen).length));
  const lines = rows.map(
    ({ what, seen, limit }) => `  ${what.padEnd(width)}  ${String(seen).padStart(seenWidth)}${limit === undefined ? '' : `   ${limit}`}`,
  );
  process.stdout.write(`\n${title}\n${lines.join('\n')}\n\n${JSON.stringify(result)}\n`);
}

/** Prints a note on the progress to stderr. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}
