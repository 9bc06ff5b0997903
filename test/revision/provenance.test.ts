import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRecord, valueAt } from '../../src/document/document.ts';
import { mergeAll } from '../../src/prepare/layer/merge-patch.ts';
import { MANIFEST, onlyPath } from './layered.ts';

describe('provenance', () => {
  test('says for each file which layers gave it, and for each value of a merged one which file and line', async () => {
    const { provenance } = await onlyPath(
      {
        'base/app.json': '{\n  "ntp": "a",\n  "vlan": {\n    "id": 1\n  },\n  "dns": ["1", "2"]\n}',
        'labels/pos/app.json': '{\n  "vlan": { "id": 2 }\n}',
        'sites/b/motd.removed': '',
        'devices/a/app.json': '{"dns": ["3"], "empty": {}}',
        'devices/a/bellwether.yaml': `${MANIFEST}files: [{ from: app.json, to: etc/app.json }, { from: .keep }]\n`,
      },
      { labels: { role: 'pos' }, site: 'b' },
      { provenance: true },
    );
    expect(provenance?.layers.map((layer) => layer.name)).toEqual(['base', 'labels role=pos', 'site b', 'device']);
    expect(provenance?.removed).toEqual([{ path: 'motd', layer: 'site b', file: 'sites/b/motd.removed' }]);
    expect(provenance?.files).toEqual([
      { path: '.keep', from: [{ layer: 'device', file: 'devices/a/.keep', template: false }], values: [], variables: [] },
      {
        path: 'etc/app.json',
        from: [
          { layer: 'base', file: 'base/app.json', template: false },
          { layer: 'labels role=pos', file: 'labels/pos/app.json', template: false },
          { layer: 'device', file: 'devices/a/app.json', template: false },
        ],
        values: [
          { pointer: '/ntp', layer: 'base', file: 'base/app.json', line: 2 },
          { pointer: '/vlan/id', layer: 'labels role=pos', file: 'labels/pos/app.json', line: 2 },
          { pointer: '/dns/0', layer: 'device', file: 'devices/a/app.json', line: 1 },
          { pointer: '/empty', layer: 'device', file: 'devices/a/app.json', line: 1 },
        ],
        variables: [],
      },
    ]);
  });

  test('is not gathered unless asked for', async () => {
    expect((await onlyPath({})).provenance).toBeUndefined();
  });

  test('holds for random layers: each value is what its file says at that pointer', async () => {
    const member = fc.constantFrom('a', 'b', 'c');
    const scalar = fc.oneof(fc.integer(), fc.constantFrom('x', true, null));
    const inner = fc.oneof(scalar, fc.array(scalar, { maxLength: 2 }), fc.dictionary(member, scalar, { maxKeys: 3 }));
    const document = fc.dictionary(member, inner, { maxKeys: 3 });
    await fc.assert(
      fc.asyncProperty(fc.tuple(document, document, document), async ([base, label, own]) => {
        const contents: Record<string, unknown> = { 'base/app.json': base, 'labels/pos/app.json': label, 'devices/a/app.json': own };
        const texts = Object.fromEntries(Object.entries(contents).map(([file, value]) => [file, JSON.stringify(value, null, 1)]));
        const path = await onlyPath(texts, { labels: { role: 'pos' } }, { provenance: true });
        const made: unknown = JSON.parse(path.texts['app.json'] ?? '');
        expect(made).toEqual(mergeAll([base, label, own]));
        for (const { pointer, file, line } of path.provenance?.files.find((one) => one.path === 'app.json')?.values ?? []) {
          const names = pointer.split('/').slice(1);
          const value = valueAt(made, names);
          const origin = valueAt(contents[file], names);
          if (!isRecord(value)) expect(origin).toEqual(value);
          if (names.length > 0)
            expect(texts[file]?.split('\n')[(line ?? 0) - 1]).toContain(/^\d+$/.test(names.at(-1) ?? '') ? '' : `"${names.at(-1)}"`);
        }
      }),
      { numRuns: 100 },
    );
  });
});
