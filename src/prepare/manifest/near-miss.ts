import { foldName } from '../../git/pack/tree-check.ts';
import { selects } from './left-out.ts';

/** The error of a pattern that matches nothing. It names a file whose spelling differs only in case or Unicode form. */
export function matchesNothing(pattern: string, available: readonly { path: string }[], hint = ''): string {
  const folded = foldName(pattern);
  const near = available.find(({ path }) => selects(folded, foldName(path)));
  const found = near === undefined ? hint : `: ${JSON.stringify(near.path)} differs from it only in case or in Unicode form`;
  return `is ${JSON.stringify(pattern)}, which matches no file of this folder${found}`;
}
