import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { compileSchema } from '../../src/prepare/schema/compile.ts';
import type { Draft } from '../../src/prepare/schema/dialect.ts';
import { Linker, placesOf } from '../../src/prepare/schema/link.ts';
import { Resources } from '../../src/prepare/schema/resources.ts';

/** The JSON Schema Test Suite, whole: see `schema-suite/README.md`. */
const drafts: [directory: string, draft: Draft, tests: number][] = [
  ['draft4', 'draft-04', 863],
  ['draft6', 'draft-06', 1149],
  ['draft7', 'draft-07', 1465],
  ['draft2019-09', '2019-09', 1864],
  ['draft2020-12', '2020-12', 1906],
];

/** Files of the suite whose tests do not all come out as it wants, with the tests that do not, and why. */
const EXCEPTIONS: Record<string, { tests: number; why: string }> = {
  'draft2020-12/format.json': { tests: 19, why: 'formats are checked, as operators expect; by default the draft only reads them' },
  'draft2019-09/vocabulary.json': { tests: 5, why: 'a dialect of one’s own is refused: "$schema" must name a draft' },
  'draft2020-12/vocabulary.json': { tests: 5, why: 'as before' },
  'draft2020-12/optional/format-assertion.json': { tests: 4, why: 'as before' },
  'draft2019-09/optional/dependencies-compatibility.json': {
    tests: 14,
    why: '"dependencies" left the standard with 2019-09 and is ignored',
  },
  'draft2020-12/optional/dependencies-compatibility.json': { tests: 14, why: 'as before' },
  'draft7/optional/content.json': { tests: 4, why: '"contentEncoding" and "contentMediaType" are read, not checked, as in later drafts' },
  'draft4/optional/zeroTerminatedFloats.json': { tests: 1, why: '1.0 and 1 are the same number here, as in later drafts' },
};

type Group = { description: string; schema: unknown; tests: { description: string; data: unknown; valid: boolean }[] };

const read = async <T>(name: string): Promise<T> =>
  JSON.parse(await readFile(new URL(`schema-suite/${name}.json`, import.meta.url), 'utf8'));
const remotes = await read<Record<string, unknown>>('remotes');
const REMOTES = 'http://localhost:1234/';

/** What a schema of the suite says of a value: valid or not, or why it cannot be used. */
function checkOf({ schema }: Group, draft: Draft, key: string): (data: unknown) => boolean | string {
  const resources = new Resources();
  const root = resources.add({ name: 'test', uri: 'bellwether:///test.json', value: schema, draft });
  const linker = new Linker(resources);
  for (let open = linker.advance(); open.length > 0; open = linker.advance()) {
    const uris = new Set(open.flatMap(placesOf).map(({ uri }) => uri));
    const wanted = [...uris].filter((uri) => uri.startsWith(REMOTES) && !resources.has(uri));
    if (wanted.length === 0) return () => `"${open[0]?.text}" leads to nothing`;
    for (const uri of wanted) resources.add({ name: uri, uri, value: remotes[uri.slice(REMOTES.length)], draft });
  }
  const [unknown] = resources.unknownDialects;
  if (unknown !== undefined) return () => `"${unknown.uri}" is no draft`;
  const [clash] = resources.clashes;
  if (clash !== undefined) return () => `"${clash.name}" is no only name`;
  const { nodes, roots } = resources;
  const compilation = compileSchema({ root, nodes, roots, targets: linker.targets, key, isBuiltin: false });
  return (data) => (compilation.ok ? compilation.schema.check(data).faults.length === 0 : JSON.stringify(compilation.faults));
}

describe.each(drafts)('%s of the official suite', async (directory, draft, tests) => {
  const files = Object.entries(await read<Record<string, Group[]>>(directory));

  test('is whole', () => {
    expect(files.flatMap(([, groups]) => groups.flatMap((group) => group.tests))).toHaveLength(tests);
  });

  test.each(files)('%s', (file, groups) => {
    const wrong = groups.flatMap((group, index) => {
      const check = checkOf(group, draft, `${directory}/${file} ${index}`);
      return group.tests.flatMap(({ description, data, valid }) => {
        const outcome = check(data);
        return outcome === valid ? [] : [`${group.description}: ${description}: ${outcome}`];
      });
    });
    const exception = EXCEPTIONS[`${directory}/${file}`];
    if (exception === undefined) expect(wrong).toEqual([]);
    else expect(wrong, exception.why).toHaveLength(exception.tests);
  });
});

test('at most ten files are exceptions', () => {
  expect(Object.keys(EXCEPTIONS).length).toBeLessThanOrEqual(10);
});
