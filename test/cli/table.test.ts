import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ago, field, plain, relativeTime, renderItem, renderTable, short } from '../../src/cli/table.ts';

const now = new Date('2026-03-01T12:00:00Z');

test('relativeTime() speaks in the largest unit that fits', () => {
  const at = (secondsAgo: number): string => relativeTime(new Date(now.getTime() - secondsAgo * 1000).toISOString(), now);
  expect([0, 0.4, 42, 59, 60, 3 * 60 + 59, 3600, 86_399, 86_400, 40 * 86_400, -90].map(at)).toEqual([
    'now',
    'now',
    '42 s ago',
    '59 s ago',
    '1 min ago',
    '3 min ago',
    '1 h ago',
    '23 h ago',
    '1 d ago',
    '40 d ago',
    'in 1 min',
  ]);
  expect(relativeTime('yesterday', now)).toBe('yesterday');
});

test('a table is as wide as its content where nobody looks, and cut at its widest columns on a narrow terminal', () => {
  const columns = [
    { title: 'ID', value: field('id') },
    { title: 'DETAIL', value: field('deep.detail') },
  ];
  const items = [{ id: 'a', deep: { detail: 'a rather long explanation of what went wrong' } }, { id: 'bcd' }];
  expect(renderTable(columns, items, { width: undefined, now })).toBe(
    'ID   DETAIL\na    a rather long explanation of what went wrong\nbcd  -\n',
  );
  expect(renderTable(columns, items, { width: 20, now })).toBe('ID   DETAIL\na    a rather long …\nbcd  -\n');
  expect(renderTable(columns, [], { width: 20, now })).toBe('none\n');
});

test('for any rows no line is wider than the terminal, as long as there is room for the columns at all', () => {
  const rows = fc.array(fc.record({ a: fc.string(), b: fc.string({ unit: 'grapheme' }), c: fc.string({ maxLength: 80 }) }), {
    maxLength: 8,
  });
  fc.assert(
    fc.property(rows, fc.integer({ min: 19, max: 200 }), (items, width) => {
      const text = renderTable(
        ['a', 'b', 'c'].map((name) => ({ title: name, value: field(name) })),
        items,
        { width, now },
      );
      for (const line of text.trimEnd().split('\n')) expect([...line].length).toBeLessThanOrEqual(width);
    }),
  );
});

test('nothing that a terminal would obey comes through', () => {
  expect(plain('\x1b[2Jred\x1b]0;title\x07 \u202Etxt\r\nnext\x00')).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
  expect(renderTable([{ title: 'N', value: field('n') }], [{ n: 'x\x1b[31m\ny' }], { width: undefined, now })).toBe('N\nx y\n');
});

test('an item is shown by the paths of its fields, times with their distance', () => {
  const item = { id: 'd', labels: { zone: 'eu' }, tags: ['a', 'b'], seenAt: '2026-03-01T11:57:00Z', none: null };
  expect(renderItem(item, { width: 80, now })).toBe(
    'id           d\nlabels.zone  eu\ntags         a, b\nseenAt       2026-03-01T11:57:00Z (3 min ago)\nnone         -\n',
  );
});

test('field values: nested, shortened, lists and objects as words, and no inherited property', () => {
  expect(field('labels')({ labels: { a: 1, b: 'x' } }, now)).toBe('a=1 b=x');
  expect(field('list')({ list: [1, { a: 1 }] }, now)).toBe('1, {"a":1}');
  expect(field('constructor.name')({}, now)).toBe('-');
  expect(short('digest', 4)({ digest: 'abcdefgh' }, now)).toBe('abcd');
  expect(ago('at')({ at: '2026-03-01T11:00:00Z' }, now)).toBe('1 h ago');
});
