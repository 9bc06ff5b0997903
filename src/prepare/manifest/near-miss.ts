import { foldName } from '../../git/pack/tree-check.ts';
import { selects } from './left-out.ts';

/** What is wrong with a pattern that matches nothing: it names the file that was meant, where two spellings look alike or differ in case. */
export function matchesNothing(pattern: string, available: readonly { path: string }[], hint = ''): string {
  const folded = foldName(pattern);
  const near = available.find(({ path }) => selects(folded, foldName(path)));
  const found = near === undefined ? hint : `: ${JSON.stringify(near.path)} differs from it only in case or in Unicode form`;
  return `is ${JSON.stringify(pattern)}, which matches no file of this folder${found}`;
}
