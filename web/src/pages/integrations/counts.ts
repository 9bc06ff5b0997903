import type { IntegrationRun } from '../../generated/api.ts';

export type Counts = IntegrationRun['counts'];

const WORDS: readonly (readonly [name: keyof Counts, word: string])[] = [
  ['seen', 'read'],
  ['created', 'created'],
  ['updated', 'updated'],
  ['exported', 'written to the platform'],
  ['archived', 'archived'],
  ['restored', 'restored'],
  ['conflicts', 'conflicts'],
  ['resolved', 'resolved'],
  ['failed', 'failed'],
];

/** "250 read, 12 updated, 1 failed"; zeros are left out. */
export function countsText(counts: Partial<Counts>): string {
  const said = WORDS.flatMap(([name, word]) => {
    const count = counts[name] ?? 0;
    return count > 0 ? [`${count.toLocaleString('en')} ${word}`] : [];
  });
  return said.length === 0 ? 'Nothing changed' : said.join(', ');
}

/** The counts of an entry of the log, whose details hold them. */
export function countsOf(details: Record<string, unknown>): Partial<Counts> {
  return Object.fromEntries(WORDS.flatMap(([name]) => (typeof details[name] === 'number' ? [[name, details[name]]] : [])));
}
