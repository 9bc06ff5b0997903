import { describe, expect, test } from 'vitest';
import { D4, D7, errorsOf } from './schemas-support.ts';

/** Schemas as people write them, and instances at their edges. Texts, so that each number keeps its digits. */
type Case = [title: string, schema: string, valid: string[], refused: string[]];

const exact: Case[] = [
  ['const', '{"const":12345678901234567890}', ['12345678901234567890', '1234567890123456789e1'], ['12345678901234567891', '1']],
  ['enum', '{"enum":[12345678901234567890,null,{"a":9007199254740993}]}', ['null', '{"a":9007199254740993}'], ['{"a":9007199254740992}']],
  [
    'uniqueItems',
    '{"uniqueItems":true}',
    ['[12345678901234567890,12345678901234567891]'],
    ['[12345678901234567890,12345678901234567890.0]', '[1,1.0]'],
  ],
  ['maximum', '{"maximum":18446744073709551615}', ['18446744073709551615', '1.5'], ['18446744073709551616', '1e20']],
  ['exclusiveMaximum', '{"exclusiveMaximum":9007199254740993}', ['9007199254740992'], ['9007199254740993']],
  ['minimum', '{"minimum":-9223372036854775808}', ['-9223372036854775808'], ['-9223372036854775809']],
  ['multipleOf', '{"multipleOf":2}', ['9007199254740994'], ['9007199254740993', '9007199254740993.0']],
  ['multipleOf with a large divisor', '{"multipleOf":9007199254740993}', ['18014398509481986'], ['18014398509481985', '1']],
  ['type', '{"type":"integer"}', ['12345678901234567890', '1e400', '1e23'], ['1.5', '1e-5']],
  ['a limit of lengths', '{"maxLength":18446744073709551615,"minItems":1}', ['"a"'], ['[]']],
];

const written: Case[] = [
  [
    'a Compose file: maps or lists, patterns for names, extensions',
    `{"$schema":"${D7}","properties":{"services":{"patternProperties":{"^[a-zA-Z0-9._-]+$":{"$ref":"#/definitions/service"}},"additionalProperties":false}},
      "definitions":{"service":{"patternProperties":{"^x-":{}},"additionalProperties":false,"properties":{"environment":{"oneOf":[
      {"type":"object","patternProperties":{".+":{"type":["string","number","null"]}},"additionalProperties":false},
      {"type":"array","items":{"type":"string"},"uniqueItems":true}]}}}}}`,
    ['{"services":{"web":{"environment":{"A":null,"B":1},"x-a":1}}}', '{"services":{"web":{"environment":["A=1"]}}}'],
    ['{"services":{"w b":{}}}', '{"services":{"web":{"environment":["A=1","A=1"]}}}', '{"services":{"web":{"image":1}}}'],
  ],
  [
    'a chain of if, then and else',
    `{"if":{"properties":{"mode":{"const":"static"}},"required":["mode"]},"then":{"required":["ip"]},
      "else":{"if":{"properties":{"mode":{"const":"dhcp"}},"required":["mode"]},"then":{"not":{"required":["ip"]}},"else":{"properties":{"mode":{"enum":["off",null]}}}}}`,
    ['{"mode":"static","ip":"x"}', '{"mode":null}', '{}', '5'],
    ['{"mode":"static"}', '{"mode":"dhcp","ip":"x"}', '{"mode":"x"}'],
  ],
  [
    'pointers with ~1, ~0, percent signs and an empty name',
    `{"$defs":{"a/b":{"type":"integer"},"a~b":{"type":"string"},"a%b":{"type":"boolean"},"ä":{"const":1},"~1":{"const":2},"":{"const":3},"c":{"d":{"const":4}}},
      "properties":{"a":{"$ref":"#/$defs/a~1b"},"b":{"$ref":"#/$defs/a~0b"},"c":{"$ref":"#/$defs/a%25b"},"d":{"$ref":"#/$defs/%C3%A4"},
      "e":{"$ref":"#/$defs/~01"},"f":{"$ref":"#/$defs/"},"g":{"$ref":"#/%24defs/ä"},"h":{"$ref":"#/$defs/c%2Fd"}}}`,
    ['{"a":1,"b":"x","c":true,"d":1,"e":2,"f":3,"g":1,"h":4}'],
    ['{"a":"x"}', '{"b":1}', '{"c":1}', '{"d":2}', '{"e":1}', '{"f":1}', '{"g":2}', '{"h":1}'],
  ],
  [
    'nested relative $id with folders',
    `{"$id":"https://example.com/a/root.json","$defs":{"inner":{"$id":"sub/","$defs":{"leaf":{"$id":"leaf.json","type":"integer"}},
      "properties":{"v":{"$ref":"leaf.json"}}}},"properties":{"i":{"$ref":"sub/"},"l":{"$ref":"sub/leaf.json"}}}`,
    ['{"i":{"v":1},"l":2}'],
    ['{"i":{"v":"x"}}', '{"l":"x"}'],
  ],
  [
    'minContains 0 beside maxContains and unevaluatedItems',
    '{"contains":{"type":"string"},"minContains":0,"maxContains":1,"unevaluatedItems":{"type":"integer"}}',
    ['[]', '[1,2]', '["a",1.0]'],
    ['["a","b"]', '[1.5]'],
  ],
  [
    'names in Unicode',
    '{"patternProperties":{"^\\\\p{L}[\\\\p{L}\\\\p{N}_]*$":{"type":"integer"},"^é":{"minimum":5}},"additionalProperties":false}',
    ['{"größe":7,"ключ1":1.0}'],
    ['{"été":3}', '{"1a":1}', '{"😀":1}'],
  ],
  [
    'const and enum of objects, null and switches',
    '{"enum":[null,{"x":[1,{"b":null}]},false]}',
    ['null', '{"x":[1.0,{"b":null}]}', 'false'],
    ['0', '""', '{"x":[{"b":null},1]}', 'true'],
  ],
  [
    'members with the names of keywords',
    `{"$schema":"${D4}","properties":{"$ref":{"type":"string"},"id":{"type":"integer"},"definitions":{"type":"array"}}}`,
    ['{"$ref":"a","id":1,"definitions":[]}'],
    ['{"$ref":1}', '{"id":"a"}', '{"definitions":{}}'],
  ],
  [
    'a metaschema as the type of a member',
    '{"properties":{"s":{"$ref":"https://json-schema.org/draft/2020-12/meta/validation#/$defs/stringArray"}}}',
    ['{"s":["a"]}'],
    ['{"s":["a","a"]}'],
  ],
];

describe.each([
  ['whole numbers are exact for', exact],
  ['a schema has', written],
])('%s', (_what, cases) => {
  test.each(cases)('%s', async (_title, schema, valid, refused) => {
    const outcomes = await Promise.all([...valid, ...refused].map((text) => errorsOf(schema, text)));
    for (const { code, message } of outcomes.flat()) expect(code, message).toBe('schema');
    expect(outcomes.map((errors) => errors.length === 0)).toEqual([...valid.map(() => true), ...refused.map(() => false)]);
  });
});

test('a YAML file and a YAML schema have exact numbers too', async () => {
  const schema = 'properties:\n  a: { const: 12345678901234567890 }\n  b: { maximum: 0xFFFFFFFFFFFFFFFF }\n';
  const more = { 'schemas/s.yaml': schema };
  expect(await errorsOf({ $ref: 's.yaml' }, 'a: 12345678901234567890\nb: 0xFFFFFFFFFFFFFFFF\n', 'a.yaml', more)).toEqual([]);
  const errors = await errorsOf({ $ref: 's.yaml' }, 'a: 12345678901234567891\nb: 18446744073709551616\n', 'a.yaml', more);
  expect(errors).toMatchObject([
    { message: 'a.yaml:1 /a is 12345678901234567891, must be 12345678901234567890', actual: '12345678901234567891' },
    { message: 'a.yaml:2 /b is 18446744073709551616, must be <= 18446744073709551615', limit: '18446744073709551615' },
  ]);
  expect(JSON.parse(JSON.stringify(errors))).toEqual(errors);
});

test('a fault of a schema shows long numbers too', async () => {
  const errors = await errorsOf('{"x-secret":12345678901234567891}', '1');
  expect(errors).toMatchObject([
    { message: 'schemas/s.json:1 /x-secret is 12345678901234567891, must be true or false', actual: '12345678901234567891' },
  ]);
});

describe('an error of alternatives', () => {
  const kinds = {
    oneOf: [
      { properties: { kind: { const: 'cat' }, lives: { type: 'integer' } }, required: ['kind'] },
      { properties: { kind: { const: 'dog' }, lives: { type: 'string' } }, required: ['kind'] },
    ],
  };

  test('names only the one that a constant member chooses', async () => {
    expect((await errorsOf(kinds, '{"kind":"cat","lives":"9"}')).map(({ pointer, rule }) => [pointer, rule])).toEqual([
      ['/lives', 'type'],
      ['', 'oneOf'],
    ]);
    expect((await errorsOf(kinds, '{"kind":"cow"}')).map(({ message }) => message)).toEqual([
      'a.json:1 /kind is "cow", must be "cat"',
      'a.json:1 /kind is "cow", must be "dog"',
      'a.json:1 is an object, must match exactly one schema in "oneOf"',
    ]);
  });

  test('says that an empty enum allows nothing', async () => {
    expect(await errorsOf({ enum: [] }, '1')).toMatchObject([
      { message: 'a.json:1 is 1, must be one of the allowed values, of which there are none' },
    ]);
  });
});

describe('two schemas of one name', () => {
  test.each([
    ['$anchor', { $defs: { a: { $anchor: 'x', type: 'integer' }, b: { $anchor: 'x', type: 'string' } }, $ref: '#x' }],
    ['$dynamicAnchor', { $defs: { a: { $anchor: 'x', type: 'integer' }, b: { $dynamicAnchor: 'x', type: 'string' } }, $ref: '#x' }],
    ['$id', { $defs: { a: { $id: 'x', type: 'integer' }, b: { $id: 'x', type: 'string' } }, $ref: 'x' }],
    [
      '$id',
      {
        $schema: D7,
        $defs: { a: { $id: '#x' } },
        definitions: { b: { $id: '#x', type: 'string' }, c: { $id: '#x' } },
        allOf: [{ $ref: '#x' }],
      },
    ],
  ])('by %s are an error at the second one', async (keyword, schema) => {
    const errors = await errorsOf(schema, '1');
    expect(errors).toMatchObject([{ code: 'schema_invalid', file: 'schemas/s.json', line: expect.any(Number), rule: 'unique' }]);
    expect(errors[0]?.message).toMatch(new RegExp(`/\\${keyword} is "#?x", which another schema of this file has too`));
  });

  test('are one schema where a YAML alias repeats it, and differ in resources of their own', async () => {
    const more = { 'schemas/s.yaml': '$defs:\n  n: &n { $anchor: nn, type: integer }\nproperties:\n  x: *n\n  y: { $ref: "#nn" }\n' };
    expect(await errorsOf({ $ref: 's.yaml' }, '{"x":1,"y":2}', 'a.json', more)).toEqual([]);
    const apart = { $anchor: 'x', $defs: { a: { $id: 'a', $anchor: 'x', type: 'string' } }, $ref: 'a#x' };
    expect(await errorsOf(apart, '"a"')).toEqual([]);
    expect(await errorsOf(apart, '1')).toMatchObject([{ rule: 'type' }]);
  });
});
