import { describe, expect, test } from 'vitest';
import { prepareRevision } from '../../src/prepare/prepare.ts';
import { defaultRevisionLimits } from '../../src/revision/limits.ts';
import type { ConfigError, PreparedPath } from '../../src/revision/revision.ts';
import type { Files } from './memory-source.ts';
import { MemorySource } from './memory-source.ts';

const rule = (schema: string, files = 'config/*'): string =>
  `apiVersion: bellwether/v1\nkind: DeviceConfig\nvalidate:\n  - files: ${JSON.stringify(files)}\n    schema: ${schema}\n`;

async function prepared(files: Files, builtins: Record<string, string> = {}): Promise<PreparedPath> {
  const source = new MemorySource();
  const options = {
    commit: source.commit(files),
    layout: 'repo' as const,
    previous: null,
    builtinSchemas: new Map(Object.entries(builtins)),
  };
  const { paths } = await prepareRevision(source, options);
  return paths[0]!;
}

async function errorsOf(schema: unknown, text: string, name = 'config/a.json'): Promise<ConfigError[]> {
  const files = { 'bellwether.yaml': rule('s.json', name), 's.json': JSON.stringify(schema), [name]: text };
  return (await prepared(files)).errors;
}

const vlan = { type: 'object', properties: { vlan: { properties: { id: { type: 'integer', maximum: 4094 } } } } };

describe('a schema error', () => {
  test('tells file, line, pointer, rule, limit and actual value, in JSON', async () => {
    const [error] = await errorsOf(vlan, '{\n  "vlan": {\n    "id": 5000\n  }\n}');
    expect(error).toEqual({
      code: 'schema',
      file: 'config/a.json',
      line: 3,
      pointer: '/vlan/id',
      rule: 'maximum',
      limit: 4094,
      actual: 5000,
      message: 'config/a.json:3 /vlan/id is 5000, must be <= 4094',
    });
  });

  test('tells the same in YAML, through comments, flow style and aliases', async () => {
    expect(await errorsOf(vlan, '# head\n\nvlan:\n  # the id\n  id: 5000\n', 'config/a.yaml')).toMatchObject([
      { line: 5, pointer: '/vlan/id', rule: 'maximum' },
    ]);
    expect(await errorsOf(vlan, 'a: 1\nvlan: { id: 5000 }\n', 'config/a.yml')).toMatchObject([{ line: 2, pointer: '/vlan/id' }]);
    expect(await errorsOf(vlan, 'base: &b\n  id: 5000\nvlan: *b\n', 'config/a.yml')).toMatchObject([{ line: 3, pointer: '/vlan/id' }]);
  });

  test.each([
    [{ required: ['a'] }, '{}', '/a', 'required', 'is missing'],
    [{ properties: {}, additionalProperties: false }, '{"x":{"y":1}}', '/x', 'additionalProperties', 'is not known here'],
    [{ properties: {}, unevaluatedProperties: false }, '{"x":1}', '/x', 'unevaluatedProperties', 'is not known here'],
    [{ properties: { a: { type: ['string', 'null'] } } }, '{"a":1}', '/a', 'type', 'is 1, must be string or null'],
    [{ properties: { a: { enum: ['x', 'y'] } } }, '{"a":"z"}', '/a', 'enum', 'is "z", must be "x" or "y"'],
    [{ properties: { a: { const: 1 } } }, '{"a":"z"}', '/a', 'const', 'is "z", must be 1'],
    [{ properties: { a: { pattern: '^x' } } }, '{"a":"z"}', '/a', 'pattern', 'is "z", must match ^x'],
    [
      { properties: { a: { format: 'ipv4' } } },
      '{"a":"1.2.3"}',
      '/a',
      'format',
      'is "1.2.3", must be an IPv4 address, such as "192.0.2.7": it has 3 numbers, must have 4',
    ],
    [{ properties: { a: { maxLength: 2 } } }, '{"a":"abc"}', '/a', 'maxLength', 'has 3 characters, must have <= 2'],
    [{ properties: { a: { minItems: 2 } } }, '{"a":[1]}', '/a', 'minItems', 'has 1 items, must have >= 2'],
    [{ properties: { a: { maxProperties: 0 } } }, '{"a":{"b":1}}', '/a', 'maxProperties', 'has 1 members, must have <= 0'],
    [{ properties: { a: { exclusiveMinimum: 0 } } }, '{"a":0}', '/a', 'exclusiveMinimum', 'is 0, must be > 0'],
    [{ properties: { a: { multipleOf: 5 } } }, '{"a":7}', '/a', 'multipleOf', 'is 7, must be a multiple of 5'],
    [{ properties: { a: { type: 'string' } } }, '{"a":{"password":"hunter22"}}', '/a', 'type', 'is an object, must be string'],
    [{ properties: { a: false } }, '{"a":1}', '/a', 'false schema', 'is 1, is not allowed here'],
    [{ properties: { 'a/b~c': { type: 'string' } } }, '{"a/b~c":1}', '/a~1b~0c', 'type', 'is 1, must be string'],
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    [{ if: { required: ['a'] }, then: { required: ['b'] } }, '{"a":1}', '/b', 'required', 'is missing'],
    [{ dependentRequired: { a: ['b'] } }, '{"a":1}', '/b', 'dependentRequired', 'is missing'],
  ])('of %j says what to mend', async (schema, text, pointer, keyword, detail) => {
    const errors = await errorsOf(schema, text);
    expect(errors).toMatchObject([{ code: 'schema', pointer, rule: keyword, message: `config/a.json:1 ${pointer} ${detail}` }]);
  });

  test('is told 50 times per file, then counted', async () => {
    const text = JSON.stringify({ list: Array.from({ length: 130 }, (_, index) => index) }, null, 1);
    const errors = await errorsOf({ properties: { list: { items: { type: 'string' } } } }, text);
    expect(errors).toHaveLength(51);
    expect(errors[50]).toMatchObject({
      code: 'more_errors',
      actual: 130,
      message: 'config/a.json has 80 more errors; only the first 50 are shown',
    });
    expect(errors.slice(0, 50).map((error) => error.line)).toEqual(Array.from({ length: 50 }, (_, index) => index + 3));
  });
});

describe('a secret', () => {
  test.each([
    ['marked writeOnly', { properties: { a: { type: 'integer', writeOnly: true } } }, { a: 'hunter22' }],
    ['marked x-secret', { properties: { a: { pattern: '^x', 'x-secret': true } } }, { a: 'hunter22' }],
    [
      'marked in another branch',
      { allOf: [{ properties: { a: { writeOnly: true } } }, { properties: { a: { maxLength: 2, pattern: '^x' } } }] },
      { a: 'hunter22' },
    ],
    [
      'marked by a reference',
      { properties: { a: { $ref: '#/$defs/s' } }, $defs: { s: { writeOnly: true, type: 'integer' } } },
      { a: 'hunter22' },
    ],
    ['below a marked object', { properties: { a: { writeOnly: true, properties: { b: { type: 'integer' } } } } }, { a: { b: 'hunter22' } }],
    ['with a secret name', { properties: { wifiPassword: { const: 'x' } } }, { wifiPassword: 'hunter22' }],
    ['below a secret name', { properties: { secrets: { items: { type: 'integer' } } } }, { secrets: ['hunter22'] }],
    ['with a password in a URL', { properties: { url: { type: 'integer' } } }, { url: 'https://me:hunter22@example.com' }],
    ['that is unknown', { additionalProperties: false }, { apiKey: 'hunter22' }],
    ['inside of what fails', { properties: { a: { type: 'string' } } }, { a: { x: 'hunter22' } }],
  ])('%s never appears in an error', async (_what, schema, value) => {
    const errors = await errorsOf(schema, JSON.stringify(value));
    expect(errors.length).toBeGreaterThan(0);
    expect(JSON.stringify(errors)).not.toContain('hunter22');
  });

  test('in a file with bad syntax never appears in an error', async () => {
    for (const text of ['{"password": hunter22}', '{"password": "hunter22" x}', '{"password": "hunter22']) {
      const errors = await errorsOf({}, text);
      expect(errors).toMatchObject([{ code: 'syntax' }]);
      expect(JSON.stringify(errors)).not.toContain('hunter22');
    }
    for (const text of ['password: "hunter22" hunter22', 'password: *hunter22', 'a: [hunter22', 'password: %hunter22\n@hunter22']) {
      const errors = await errorsOf({}, text, 'config/a.yaml');
      expect(errors).toMatchObject([{ code: 'syntax' }]);
      expect(JSON.stringify(errors)).not.toContain('hunter22');
    }
  });

  test('is named to previews by its pointer and the path that the file has on the device', async () => {
    const manifest = `${rule('s.json', 'a.json')}files: [{ from: a.json, to: etc/b.json }]\n`;
    const path = await prepared({
      'bellwether.yaml': manifest,
      's.json': '{"properties":{"k":{"writeOnly":true}}}',
      'a.json': '{"k":"1"}',
    });
    expect(path.errors).toEqual([]);
    expect(path.secretPointers).toEqual({ 'etc/b.json': ['/k'] });
  });
});

describe('a file', () => {
  test.each([
    ['{"a":1,}', 'json', 1],
    ['{\n"a":1\n"b":2}', 'json', 3],
    ['{"a":01}', 'json', 1],
    ['{"a":1}\n\nx', 'json', 3],
    ["{'a':1}", 'json', 1],
    ['{"a":NaN}', 'json', 1],
    ['{"a":"\\x"}', 'json', 1],
    ['', 'json', 1],
    ['// c\n{}', 'json', 1],
    ['{"a":1,\n"a":2}', 'duplicate', 2],
    ['{"b":{"__proto__":{"x":1}}}', 'prototype', 1],
  ])('that is not strict JSON is refused with its line: %j', async (text, name, line) => {
    expect(await errorsOf({}, text)).toMatchObject([{ code: 'syntax', rule: name, line }]);
  });

  test.each([
    ['a: 1\nb: 2\na: 3', 'duplicate', 3],
    ['a: 1\n__proto__: 3', 'prototype', 2],
    ['a: 1\n b: 2', 'yaml', 1],
    ['a: &a [1, *a]', 'aliases', 1],
    ['? [x]\n: 1', 'key', 1],
    ['a: 1\n---\nb: 2\n', 'documents', 1],
  ])('that is not plain YAML is refused with its line: %j', async (text, name, line) => {
    expect(await errorsOf({}, text, 'config/a.yaml')).toMatchObject([{ code: 'syntax', rule: name, line }]);
  });

  test('of aliases that multiply, or of endless nesting, is refused soon', async () => {
    let bomb = 'a: &a [x,x,x,x,x,x,x,x,x]\n';
    for (const [previous, name] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg', 'gh'].map((pair) => [...pair]))
      bomb += `${name}: &${name} [${Array(9).fill(`*${previous}`).join(',')}]\n`;
    expect(await errorsOf({}, bomb, 'config/a.yaml')).toMatchObject([{ rule: 'aliases' }]);
    const long = `a: &a ${'x'.repeat(10_000)}\n`;
    const repeated = Array.from({ length: 1_000 }, (_, index) => `b${index}: *a`).join('\n');
    expect(await errorsOf({}, long + repeated, 'config/a.yaml')).toMatchObject([{ rule: 'aliases', line: 421 }]);
    const deep = 10_000;
    expect(await errorsOf({}, '['.repeat(deep) + ']'.repeat(deep))).toMatchObject([{ code: 'too_deep' }]);
    expect(await errorsOf({}, '['.repeat(deep), 'config/a.yaml')).toMatchObject([{ code: 'too_deep' }]);
    expect(await errorsOf({}, `${'- '.repeat(1000)}1`, 'config/a.yaml')).toMatchObject([{ code: 'too_deep' }]);
  });

  test('that is too large to be parsed is refused with the bound', async () => {
    const text = JSON.stringify('x'.repeat(defaultRevisionLimits.maxDocumentBytes));
    expect(await errorsOf({}, text)).toMatchObject([{ code: 'too_large', limit: defaultRevisionLimits.maxDocumentBytes }]);
  });

  test('that is neither JSON nor YAML by its name cannot have a schema', async () => {
    expect(await errorsOf({}, 'a=1', 'config/a.ini')).toMatchObject([{ rule: 'extension' }]);
  });

  test('that no rule matches must still be readable as what it is named, unless the manifest waives it', async () => {
    expect((await prepared({ 'a.json': '{' })).errors).toMatchObject([{ code: 'syntax', file: 'a.json' }]);
    expect((await prepared({ 'a.yaml': 'a: 1\n---\nb: !mine 2\n' })).errors).toEqual([]);
    const waived = 'apiVersion: bellwether/v1\nkind: DeviceConfig\ncheckSyntax: false\n';
    expect((await prepared({ 'a.json': '{', 'bellwether.yaml': waived })).errors).toEqual([]);
  });

  test('with a pointer through "constructor" or "toString" is told apart from what objects inherit', async () => {
    expect(await errorsOf({ required: ['constructor', 'toString'] }, '{}')).toMatchObject([
      { pointer: '/constructor' },
      { pointer: '/toString' },
    ]);
    expect(await errorsOf({}, '{"constructor":{"prototype":{"x":1}}}')).toEqual([]);
    expect(Object.hasOwn(Object.prototype, 'x')).toBe(false);
  });
});

describe('a schema', () => {
  const data = { 'bellwether.yaml': rule('sub/s.json', 'a.json'), 'a.json': '{"n":-1}' };
  const positive = '{"minimum":0}';

  test('refers to other files of the repository by relative path, or by the $id that they have', async () => {
    for (const reference of ['../common/types.json#/$defs/n', '/common/types.json#/$defs/n', '../common/../common/types.json#/$defs/n']) {
      const schema = JSON.stringify({ properties: { n: { $ref: reference } } });
      const path = await prepared({
        ...data,
        'sub/s.json': schema,
        'common/types.json': `{"$id":"https://example.com/types","$defs":{"n":{"$ref":"n.yaml"}}}`,
        'common/n.yaml': 'minimum: 0\n',
      });
      expect(path.errors).toMatchObject([{ code: 'schema', pointer: '/n', rule: 'minimum' }]);
    }
    const byId = JSON.stringify({
      $id: 'https://example.com/me',
      properties: { n: { $ref: 'https://example.com/me#/$defs/n' } },
      $defs: { n: { minimum: 0 } },
    });
    expect((await prepared({ ...data, 'sub/s.json': byId })).errors).toMatchObject([{ rule: 'minimum' }]);
  });

  test('may refer in circles', async () => {
    const path = await prepared({
      ...data,
      'a.json': '{"next":{"next":{"n":-1}}}',
      'sub/s.json': '{"properties":{"n":{"minimum":0},"next":{"$ref":"t.json"}}}',
      'sub/t.json': '{"$ref":"s.json"}',
    });
    expect(path.errors).toMatchObject([{ pointer: '/next/next/n', rule: 'minimum' }]);
  });

  test.each([
    ['https://example.com/x.json', 'schema_remote_ref'],
    ['http://169.254.169.254/latest/meta-data', 'schema_remote_ref'],
    ['file:///etc/passwd', 'schema_remote_ref'],
    ['//example.com/x.json', 'schema_remote_ref'],
    ['../../../etc/passwd', 'schema_missing'],
    ['nowhere.json', 'schema_missing'],
  ])('that refers to %s is refused', async (reference, code) => {
    const path = await prepared({ ...data, 'sub/s.json': JSON.stringify({ properties: { n: { $ref: reference } } }, null, 1) });
    expect(path.errors.map((error) => error.code)).toContain(code);
    expect(path.verdict).toBe('invalid');
  });

  test('that is no schema is refused with its file', async () => {
    expect((await prepared({ ...data, 'sub/s.json': '{"type":"objekt"}' })).errors).toMatchObject([
      { code: 'schema_invalid', file: 'sub/s.json' },
    ]);
    expect((await prepared({ ...data, 'sub/s.json': '{"pattern":"("}' })).errors).toMatchObject([{ code: 'schema_invalid' }]);
    expect((await prepared({ ...data, 'sub/s.json': '{' })).errors).toMatchObject([{ code: 'syntax', file: 'sub/s.json' }]);
    expect((await prepared({ ...data, 'sub/s.json': '{"$ref":"#/$defs/none"}' })).errors).toMatchObject([{ code: 'schema_invalid' }]);
  });

  test('that is nowhere is an error at the place of the manifest that names it', async () => {
    expect((await prepared(data)).errors).toMatchObject([
      { code: 'schema_missing', file: 'bellwether.yaml', pointer: '/validate/0/schema', line: 5 },
    ]);
    expect((await prepared({ ...data, 'bellwether.yaml': rule('builtin:none', 'a.json') })).errors).toMatchObject([
      { code: 'schema_missing', line: 5 },
    ]);
  });

  test('comes with the program when it is named builtin', async () => {
    const files = { ...data, 'bellwether.yaml': rule('builtin:number', 'a.json') };
    expect((await prepared(files, { number: `{"properties":{"n":${positive}}}` })).errors).toMatchObject([
      { code: 'schema', rule: 'minimum' },
    ]);
  });

  test('of draft-07 is understood as such', async () => {
    const schema = '{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"n":{"items":[{"type":"string"}]}}}';
    expect((await prepared({ ...data, 'sub/s.json': schema, 'a.json': '{"n":[1]}' })).errors).toMatchObject([
      { pointer: '/n/0', rule: 'type' },
    ]);
  });

  test('in the device folder comes before the fleet folder, and that before the root', async () => {
    const fleet = 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\nschemas: shared\n';
    const files: Files = { 'fleet.yaml': fleet, 's.json': '{"maximum":1}' };
    const limitOf = async (more: Files) => {
      const source = new MemorySource();
      const commit = source.commit({ ...files, 'devices/a/bellwether.yaml': rule('s.json', 'n.json'), 'devices/a/n.json': '100', ...more });
      const { paths } = await prepareRevision(source, { commit, layout: 'fleet', previous: null, builtinSchemas: new Map() });
      return [paths[0]?.errors[0]?.limit, paths[0]?.dependencies];
    };
    expect(await limitOf({})).toEqual([1, ['s.json', 'shared/s.json']]);
    expect(await limitOf({ 'shared/s.json': '{"maximum":2}' })).toEqual([2, ['shared/s.json']]);
    expect(await limitOf({ 'shared/s.json': '{"maximum":2}', 'devices/a/s.json': '{"maximum":3}' })).toEqual([3, []]);
  });
});
