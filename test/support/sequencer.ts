import type { TestSpecification } from 'vitest/node';
import { BaseSequencer } from 'vitest/node';

/** Folders with the longest test files. They start first, because one that starts last would run alone at the end. */
const LONGEST = ['crash', 'bench', 'fuzz', 'fault', 'journey', 'replica', 'agent', 'cases', 'hostile'];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.findIndex((folder) => moduleId.includes(`/test/${folder}/`));
      return at === -1 ? LONGEST.length : at;
    };
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}
