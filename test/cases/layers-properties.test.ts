import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toPointer } from '../../src/document/document.ts';
import { MergeFault } from '../../src/document/merge/fault.ts';
import { mergePatch } from '../../src/prepare/layer/merge-patch.ts';
import { jsonPatch, jsonTree, merged, read, type Tree, toJson, toYaml, yamlPatch, yamlTree } from './documents.ts';

const steps = fc.constantFrom(0, 2, 4);
/** Each with base and patch as texts. */
const LANGUAGES = {
  yaml: {
    base: fc.tuple(yamlTree, steps).map(([tree, step]) => `#cloud-config\n${toYaml(tree, step)}`),
    patch: fc.tuple(yamlPatch, steps).map(([tree, step]) => toYaml(tree, step)),
  },
  json: {
    base: fc.tuple(jsonTree, fc.boolean()).map(([tree, isWide]) => toJson(tree, isWide)),
    patch: fc.tuple(jsonPatch, fc.boolean()).map(([tree, isWide]) => toJson(tree, isWide)),
  },
};

describe.each(['yaml', 'json'] as const)('a merge patch on %s', (syntax) => {
  const { base, patch } = LANGUAGES[syntax];

  test('that touches nothing leaves every byte: an empty one, and the file itself', () => {
    fc.assert(
      fc.property(base, (text) => {
        expect(merged(text, '{}', syntax)).toBe(text);
        expect(merged(text, text, syntax)).toBe(text);
        if (syntax === 'yaml') expect(merged(text, '# nothing\n', syntax)).toBe(text);
      }),
      { numRuns: 60 },
    );
  });

  test('gives a text that reads as RFC 7386 says', () => {
    fc.assert(
      fc.property(base, patch, (text, change) => {
        const result = merged(text, change, syntax);
        expect(read(result, syntax).value).toEqual(mergePatch(read(text, syntax).value, read(change, syntax).value));
      }),
      { numRuns: 200 },
    );
  });

  test('leaves the text of every value that it does not name, and takes its own values as it spells them', () => {
    fc.assert(
      fc.property(base, patch, (text, change) => {
        const result = merged(text, change, syntax);
        const [before, given, after] = [text, change, result].map((one) => leaves(one, syntax));
        const scalarsOfPatch = new Set(given?.keys());
        for (const [pointer, spelled] of after ?? []) {
          const source = scalarsOfPatch.has(pointer) ? given?.get(pointer) : before?.get(pointer);
          if (source !== undefined) expect([pointer, spelled]).toEqual([pointer, source]);
        }
      }),
      { numRuns: 80 },
    );
  });

  test('leaves the keys in their order, new ones last', () => {
    fc.assert(
      fc.property(base, patch, (text, change) => {
        const after = keysOf(merged(text, change, syntax), syntax);
        const kept = keysOf(text, syntax).filter((name) => after.includes(name));
        expect(after.slice(0, kept.length)).toEqual(kept);
      }),
      { numRuns: 50 },
    );
  });
});

test('a patch that cannot be merged says so: it never gives another text', () => {
  // Anchors and aliases at random places of both files.
  const anchored = (tree: Tree[]) => {
    let count = 0;
    return toYaml(tree, 2).replace(/: ([a-z"'0-9][^\n#{}[\]|]*)$/gm, (all, value: string) => {
      count += 1;
      return count % 3 === 0 ? ': *x1' : count % 3 === 1 && count < 3 ? `: &x${count} ${value}` : all;
    });
  };
  let faults = 0;
  let merges = 0;
  fc.assert(
    fc.property(yamlTree, yamlPatch, (tree, patch) => {
      const [text, change] = [anchored(tree), anchored(patch)];
      const documents = [text, change].map((one) => {
        try {
          return read(one);
        } catch {
          return null;
        }
      });
      const [base, upper] = documents;
      if (!base || !upper) return;
      try {
        expect(read(merged(text, change)).value).toEqual(mergePatch(base.value, upper.value));
        merges += 1;
      } catch (error) {
        if (!(error instanceof MergeFault)) throw error;
        faults += 1;
      }
    }),
    { numRuns: 120 },
  );
  expect(merges).toBeGreaterThan(faults);
});

/** The text of each scalar, by its pointer; of a block scalar what it says, since its lines may have moved. */
function leaves(text: string, syntax: 'yaml' | 'json'): Map<string, string> {
  const scalars = read(text, syntax)
    .spans()
    .filter((span) => span.kind === 'scalar');
  return new Map(
    scalars.map(({ path, start, end, value }) => {
      const own = text.slice(start, end);
      return [toPointer(path), own.includes('\n') ? JSON.stringify(value) : own];
    }),
  );
}

function keysOf(text: string, syntax: 'yaml' | 'json'): string[] {
  const root = read(text, syntax).roots[0];
  return root?.kind === 'map' ? root.pairs.map((pair) => pair.name) : [];
}
