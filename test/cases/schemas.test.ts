import { describe, expect, test } from 'vitest';
import { D4, D6, D7, D19, D20, errorsOf } from './schemas-support.ts';

type Case = [title: string, schema: unknown, valid: unknown[], refused: unknown[]];

const twoFiles = { $id: 'https://example.com/root', $defs: { n: { $id: 'n', minimum: 0 } }, properties: { n: { $ref: 'n' } } };

const rules: Case[] = [
  [
    '"$dynamicRef" means the schema with the anchor',
    { $defs: { f: { $dynamicAnchor: 'd', type: 'string' } }, properties: { x: { $dynamicRef: '#d' } } },
    [{ x: 'a' }],
    [{ x: 1 }],
  ],
  [
    '"$dynamicRef" to a plain anchor or a pointer is a reference as any other',
    { $defs: { f: { $anchor: 'd', type: 'string' } }, properties: { x: { $dynamicRef: '#d' }, y: { $dynamicRef: '#/$defs/f' } } },
    [{ x: 'a', y: 'b' }],
    [{ x: 1 }, { y: 1 }],
  ],
  [
    '"$dynamicRef" means the outermost schema of the name on the way',
    {
      $schema: D20,
      $id: 'https://example.com/strict-tree',
      $dynamicAnchor: 'node',
      $ref: 'tree',
      unevaluatedProperties: false,
      $defs: {
        tree: {
          $id: 'https://example.com/tree',
          $dynamicAnchor: 'node',
          properties: { data: true, children: { items: { $dynamicRef: '#node' } } },
        },
      },
    },
    [{ children: [{ data: 1 }] }],
    [{ children: [{ daat: 1 }] }],
  ],
  [
    '"$recursiveRef" means the outermost schema that allows it',
    {
      $schema: D19,
      $id: 'https://example.com/strict-tree',
      $recursiveAnchor: true,
      $ref: 'tree',
      unevaluatedProperties: false,
      $defs: {
        tree: {
          $id: 'https://example.com/tree',
          $recursiveAnchor: true,
          properties: { data: true, children: { items: { $recursiveRef: '#' } } },
        },
      },
    },
    [{ children: [{ data: 1 }] }],
    [{ children: [{ daat: 1 }] }],
  ],
  [
    '"if" without "then" evaluates members',
    { if: { properties: { a: true }, required: ['a'] }, unevaluatedProperties: false },
    [{ a: 1 }, {}],
    [{ b: 1 }, { a: 1, b: 1 }],
  ],
  [
    '"contains" evaluates the items that match since 2020-12',
    { $schema: D20, prefixItems: [true], contains: { type: 'string' }, unevaluatedItems: false },
    [
      [1, 'a'],
      ['a', 'b'],
    ],
    [[1, 2, 'a']],
  ],
  ['"contains" evaluates nothing in 2019-09', { $schema: D19, contains: { type: 'string' }, unevaluatedItems: false }, [], [['a'], []]],
  [
    'unknown keywords are ignored: "nullable", "id", "example", "$async", "discriminator"',
    { type: 'string', nullable: true, id: 7, example: 1, $async: true, discriminator: { propertyName: 'x' } },
    ['a'],
    [null, 1],
  ],
  [
    '"nullable" beside "enum" and "$ref" is ignored',
    { $ref: '#/$defs/e', nullable: true, $defs: { e: { enum: ['x'], nullable: true } } },
    ['x'],
    [null],
  ],
  ['unknown formats are ignored', { type: 'string', format: 'mac-address' }, ['nothing of the kind'], [1]],
  [
    'draft-07 ignores what stands beside "$ref"',
    { $schema: D7, definitions: { i: { type: 'integer' } }, $ref: '#/definitions/i', maximum: 5 },
    [3, 7],
    ['a'],
  ],
  [
    '2019-09 applies what stands beside "$ref"',
    { $schema: D19, $defs: { i: { type: 'integer' } }, $ref: '#/$defs/i', maximum: 5 },
    [3],
    [7, 'a'],
  ],
  ['2020-12 ignores "dependencies"', { $schema: D20, dependencies: { a: ['b'] } }, [{ a: 1 }], []],
  [
    'draft-07 applies "dependencies"',
    { $schema: D7, dependencies: { a: ['b'], c: { required: ['d'] } } },
    [{ b: 1 }],
    [{ a: 1 }, { c: 1 }],
  ],
  [
    '2020-12 has "dependentRequired"',
    { dependentRequired: { a: ['b'] }, dependentSchemas: { c: { required: ['d'] } } },
    [{ b: 1 }],
    [{ a: 1 }, { c: 1 }],
  ],
  [
    'draft-07 ignores "dependentRequired" and "prefixItems"',
    { $schema: D7, dependentRequired: { a: ['b'] }, prefixItems: [false] },
    [{ a: 1 }, [1]],
    [],
  ],
  ['draft-06 has "const", but no "if"', { $schema: D6, const: 1, if: true, else: false }, [1], [2]],
  [
    'draft-04 has limits that "exclusiveMaximum: true" excludes, and "id"',
    {
      $schema: D4,
      id: 'http://example.com/s',
      maximum: 5,
      exclusiveMaximum: true,
      properties: { a: { $ref: 's#/definitions/t' } },
      definitions: { t: { type: 'string' } },
    },
    [4, { a: 'x' }],
    [5, { a: 1 }],
  ],
  ['draft-04 knows no "const"', { $schema: D4, const: 1 }, [2], []],
  [
    'draft-04 to 2019-09 have lists of schemas in "items"',
    { $schema: D19, items: [{ type: 'string' }], additionalItems: false },
    [['a']],
    [[1], ['a', 1]],
  ],
  [
    'http and https, with and without "#", name the same draft',
    { $schema: 'https://json-schema.org/draft-07/schema', $ref: '#/definitions/i', maximum: 5, definitions: { i: {} } },
    [7],
    [],
  ],
  ['an embedded "$id" is a place for references', twoFiles, [{ n: 1 }], [{ n: -1 }]],
  [
    'an embedded schema may be of another draft',
    {
      $schema: D20,
      properties: { old: { $ref: 'https://example.com/old' } },
      $defs: { old: { $schema: D7, $id: 'https://example.com/old', items: [{ type: 'string' }], dependencies: { a: ['b'] } } },
    },
    [{ old: ['a'] }, { old: { b: 1 } }],
    [{ old: [1] }, { old: { a: 1 } }],
  ],
  [
    'an "$id" within "enum" names nothing',
    { $defs: { a: { enum: [{ $id: 'x', type: 'null' }] } }, $ref: '#/$defs/a' },
    [{ $id: 'x', type: 'null' }],
    [null],
  ],
  [
    'the metaschema of a draft is there for references',
    { properties: { schema: { $ref: 'http://json-schema.org/draft-07/schema#' } } },
    [{ schema: { type: 'string' } }],
    [{ schema: { type: 'strnig' } }],
  ],
  [
    'names that every object inherits are names as any other',
    { properties: { constructor: { type: 'string' } }, additionalProperties: false },
    [{ constructor: 'a' }],
    [{ constructor: 1 }, { toString: 1 }],
  ],
  [
    '"1" and 1, and 1 and true, differ; 1 and 1.0 do not',
    { uniqueItems: true },
    [[1, '1', true, [1], ['1']]],
    [
      [1, 1.0],
      [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
      ],
    ],
  ],
  ['length counts characters', { maxLength: 1 }, ['😀'], ['ab']],
];

const decimals: Case[] = [
  ['0.01', { multipleOf: 0.01 }, [19.99, 0.07, 4.35, 1e3, -0.01, 0], [19.991, 0.005]],
  ['0.1', { multipleOf: 0.1 }, [0.3, 1.1, 0.7], [0.35]],
  ['1e-7', { multipleOf: 1e-7 }, [3e-7, 0.1234567, 1], [1.5e-7, 1e-8]],
  ['1e-8', { multipleOf: 1e-8 }, [12391239123, 2e-8], [1.5e-8]],
  ['0.123456789', { multipleOf: 0.123456789 }, [0.246913578], [1e308]],
  ['2.5', { multipleOf: 2.5 }, [5, 7.5, 1e300], [7]],
  ['5', { multipleOf: 5 }, [10, 9_007_199_254_740_990], [7, 0.5]],
];

const patterns: Case[] = [
  ['an idle \\_ and \\-', { pattern: '^[A-Za-z0-9\\_\\-]+$' }, ['a_-9'], ['a b']],
  ['an idle \\:', { pattern: '^\\d{1,3}\\:\\d+$' }, ['10:80'], ['10;80']],
  ['a hyphen behind a class escape', { pattern: '^[\\w-.]+$' }, ['a-b.c'], ['a b']],
  ['a hyphen before a class escape', { pattern: '^[.-\\d]+$' }, ['1.-2'], ['a']],
  ['idle quotes, signs and spaces', { pattern: '^\\"\\\'\\@\\#\\%\\&\\=\\,\\;\\<\\>\\!\\~\\ \\`$' }, ['"\'@#%&=,;<>!~ `'], ['x']],
  ['an idle \\- outside of brackets', { pattern: '^a\\-b$' }, ['a-b'], ['ab']],
  ['idle braces and brackets', { pattern: '^{a}]$' }, ['{a}]'], ['a']],
  ['a slash with and without backslash', { pattern: '^\\/a/$' }, ['/a/'], ['a']],
  ['an empty class of ECMA-262', { pattern: '^a[^]b$' }, ['a\nb'], ['ab']],
  ['Unicode classes', { pattern: '^\\p{L}+$' }, ['Größe'], ['1']],
  ['characters beyond the basic plane', { pattern: '^.$' }, ['😀'], ['ab']],
  [
    'names of members',
    { patternProperties: { '^x\\-': { type: 'string' } }, additionalProperties: false },
    [{ 'x-a': 'b' }],
    [{ 'x-a': 1 }, { xa: 'b' }],
  ],
];

const formats: Case[] = [
  [
    'email',
    { format: 'email' },
    ['root@localhost', 'ops@example.com', '"a b"@example.com', 'a@[192.0.2.1]'],
    ['ops', 'ops@', '@b', 'a b@c', 'a@b_c'],
  ],
  ['hostname', { format: 'hostname' }, ['till-7.example.com', 'localhost', 'a'], ['till_7.local', '-a', 'a..b', '', 'a.']],
  ['time', { format: 'time' }, ['02:00:00Z', '02:00:00.5+01:00', '23:59:60Z'], ['02:00:00', '02:00Z', '25:00:00Z', '12:00:60Z']],
  [
    'date-time',
    { format: 'date-time' },
    ['2026-11-30T02:00:00Z', '2026-11-30t02:00:00-08:00'],
    ['2026-11-30T02:00:00', '2026-11-30 02:00:00Z', '2026-11-30'],
  ],
  ['date', { format: 'date' }, ['2026-11-30', '2024-02-29'], ['2026-1-5', '2026-02-30']],
  ['ipv4', { format: 'ipv4' }, ['192.0.2.1'], ['192.0.2', '192.0.2.256', '192.0.2.01', '192.0.2.1/24']],
  ['ipv6', { format: 'ipv6' }, ['::', '2001:db8::7'], ['2001:db8::7/64', 'fe80::1%eth0', '1::2::3']],
  ['uri', { format: 'uri' }, ['https://example.com/', 'urn:a:b', 'mailto:a@b'], ['example.com', '//example.com', 'http://a b']],
  ['uri-reference', { format: 'uri-reference' }, ['a/b', '#x', '//example.com'], ['\\\\server\\share']],
  ['uuid', { format: 'uuid' }, ['2eb8aa08-aa98-11ea-b4aa-73b441d16380'], ['2eb8aa08aa9811eab4aa73b441d16380']],
  ['duration', { format: 'duration' }, ['PT15M', 'P1DT12H', 'P4W'], ['15m', 'PT', 'P1.5D']],
  ['idn-hostname', { format: 'idn-hostname' }, ['bücher.example', '실례.테스트'], ['bü_cher', '〮a']],
  ['idn-email', { format: 'idn-email' }, ['jörg@bücher.example'], ['jörg']],
  ['regex', { format: 'regex' }, ['^a\\d$'], ['(', '\\Aa']],
  ['json-pointer', { format: 'json-pointer' }, ['', '/a~1b'], ['a', '/a~2']],
];

async function isValid(schema: unknown, value: unknown): Promise<boolean> {
  const errors = await errorsOf(schema, JSON.stringify(value));
  for (const { code, message } of errors) expect(code, message).toBe('schema');
  return errors.length === 0;
}

describe.each([
  ['a schema', rules],
  ['a multiple of', decimals],
  ['a pattern with', patterns],
  ['the format', formats],
])('%s', (_what, cases) => {
  test.each(cases)('%s', async (_title, schema, valid, refused) => {
    const outcomes = await Promise.all([...valid, ...refused].map((value) => isValid(schema, value)));
    expect(outcomes).toEqual([...valid.map(() => true), ...refused.map(() => false)]);
  });
});
