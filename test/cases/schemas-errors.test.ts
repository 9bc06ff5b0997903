import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { validateCheckout } from '../../src/cli/validate/validate.ts';
import type { Files } from '../revision/memory-source.ts';
import { D7, D20, errorsOf, manifest, prepare } from './schemas-support.ts';

describe('a pattern of another dialect', () => {
  test.each([
    ['^\\A[a-z]+$', 'has \\A, which is not part of ECMA-262: write ^ for the start of the text'],
    ['^[a-z]+\\Z', 'has \\Z, which is not part of ECMA-262: write $ for the end of the text'],
    ['^[a-z]+\\z', 'has \\z, which is not part of ECMA-262: write $ for the end of the text'],
    ['(?i)^abc$', 'has (?i), an inline flag, which is not part of ECMA-262: write both cases, such as [Aa]'],
    ['^[[:alpha:]]+$', 'has [:alpha:], a POSIX class, which is not part of ECMA-262: write the characters, such as [A-Za-z], or \\p{…}'],
    ['^[_[:digit:]-]+$', 'has [:digit:], a POSIX class, which is not part of ECMA-262: write the characters, such as [A-Za-z], or \\p{…}'],
    ['^[:alpha:]+$', 'has [:alpha:], a POSIX class, which is not part of ECMA-262: write the characters, such as [A-Za-z], or \\p{…}'],
    ['^\\h+$', 'has \\h, which is not part of ECMA-262: write [ \\t] or [0-9a-fA-F]'],
    ['^(?P<name>a)$', 'has (?P<…), which is not part of ECMA-262'],
    ['^(?>a+)b$', 'has (?>…), which is not part of ECMA-262'],
    ['^a++b$', 'has the possessive ++, which is not part of ECMA-262'],
    ['^a{,3}$', 'has {,3}, which is not part of ECMA-262: write {0,3}'],
    ['^\\Qa.b\\E$', 'has \\Q, which is not part of ECMA-262: escape each character'],
    ['^\\i$', 'has \\i, which is not part of ECMA-262'],
    ['^[]a]+$', 'has a character class that dialects read differently: write \\[ and \\] for brackets in it'],
    ['^[^]]+$', 'has a character class that dialects read differently: write \\[ and \\] for brackets in it'],
    ['^[a-z&&[^b]]+$', 'has a character class that dialects read differently: write \\[ and \\] for brackets in it'],
    ['^[[=a=]]$', 'has a character class that dialects read differently: write \\[ and \\] for brackets in it'],
    ['(', 'is not a regular expression of ECMA-262: unterminated group'],
    ['[b-a]', 'is not a regular expression of ECMA-262: range out of order in character class'],
  ])('%s is refused at its place', async (pattern, detail) => {
    const errors = await errorsOf({ properties: { a: { type: 'string', pattern } } }, '{"a":"x"}');
    expect(errors).toMatchObject([
      { code: 'schema_invalid', file: 'schemas/s.json', line: 5, pointer: '/properties/a/pattern', rule: 'pattern', actual: pattern },
    ]);
    expect(errors[0]?.message).toBe(`schemas/s.json:5 /properties/a/pattern is ${JSON.stringify(pattern)}, which ${detail}`);
  });

  test('is refused as a name in "patternProperties" as well, and in a file that is only referred to', async () => {
    const more: Files = { 'schemas/t.yaml': 'patternProperties:\n  a: true\n  "\\\\Ab": true\n' };
    expect(await errorsOf({ $ref: 't.yaml' }, '{}', 'a.json', more)).toMatchObject([
      { file: 'schemas/t.yaml', line: 3, pointer: '/patternProperties/\\Ab', rule: 'pattern' },
    ]);
  });

  test('is data in "enum", and a pattern is a property’s name elsewhere', async () => {
    expect(await errorsOf({ enum: [{ pattern: '\\A' }], properties: { pattern: { const: '\\A' } } }, '{"pattern":"\\\\A"}')).toEqual([]);
  });
});

describe('a format says what it asks for and what is missing', () => {
  test.each([
    ['time', '02:00:00', 'must be a time with a zone (RFC 3339), such as "02:00:00Z" or "02:00:00+01:00": the zone is missing'],
    [
      'time',
      '02:00',
      'must be a time with a zone (RFC 3339), such as "02:00:00Z" or "02:00:00+01:00": the seconds and the zone are missing',
    ],
    [
      'date-time',
      '2026-11-30T02:00:00',
      'must be a date and time with a zone (RFC 3339), such as "2026-11-30T02:00:00Z" or "2026-11-30T02:00:00+01:00": the zone is missing',
    ],
    [
      'date-time',
      '2026-11-30',
      'must be a date and time with a zone (RFC 3339), such as "2026-11-30T02:00:00Z" or "2026-11-30T02:00:00+01:00": the time and the zone are missing',
    ],
    [
      'date-time',
      '2026-11-30 02:00:00Z',
      'must be a date and time with a zone (RFC 3339), such as "2026-11-30T02:00:00Z" or "2026-11-30T02:00:00+01:00": "T" between date and time is missing',
    ],
    ['date', '2026-1-5', 'must be a date (RFC 3339), such as "2026-11-30": month and day have two digits each'],
    ['hostname', 'till_7.local', 'must be a host name (RFC 1123), such as "till-7.example.com": "_" is not allowed'],
    ['email', 'ops', 'must be an email address (RFC 5321), such as "ops@example.com": "@" is missing'],
    ['email', 'ops@till_7', 'must be an email address (RFC 5321), such as "ops@example.com": in its domain, "_" is not allowed'],
    ['ipv4', '192.0.2.1/24', 'must be an IPv4 address, such as "192.0.2.7": a prefix length is not part of it'],
    ['ipv6', '192.0.2.1', 'must be an IPv6 address, such as "2001:db8::7": ":" is missing'],
    [
      'uri',
      'example.com',
      'must be a URI with a scheme (RFC 3986), such as "https://example.com/": the scheme is missing, such as "https:"',
    ],
    [
      'uuid',
      '2eb8aa08aa9811eab4aa73b441d16380',
      'must be a UUID (RFC 4122), such as "2eb8aa08-aa98-11ea-b4aa-73b441d16380": the hyphens are missing',
    ],
    ['duration', '15m', 'must be a duration (ISO 8601), such as "PT15M" or "P1DT12H": "P" at its start is missing'],
    ['json-pointer', 'vlan/id', 'must be a JSON pointer (RFC 6901), such as "/vlan/id": "/" at its start is missing'],
    [
      'regex',
      '\\A',
      'must be a regular expression of ECMA-262: it has \\A, which is not part of ECMA-262: write ^ for the start of the text',
    ],
  ])('%s of %j', async (format, value, detail) => {
    // Under a name that says nothing, long hexadecimal text counts as a key and is hidden.
    const name = format === 'uuid' ? 'id' : 'a';
    expect(await errorsOf({ properties: { [name]: { format } } }, JSON.stringify({ [name]: value }))).toMatchObject([
      { rule: 'format', limit: format, actual: value, message: `a.json:1 /${name} is ${JSON.stringify(value)}, ${detail}` },
    ]);
  });

  test('but nothing of a secret', async () => {
    const [error] = await errorsOf({ properties: { a: { format: 'hostname', writeOnly: true } } }, '{"a":"till§7"}');
    expect(error?.message).toBe('a.json:1 /a is a secret value, must be a host name (RFC 1123), such as "till-7.example.com"');
    expect(error).not.toHaveProperty('actual');
  });
});

describe('a number that JSON does not have', () => {
  test.each([
    ['.inf', { maximum: 10 }, 'is .inf, must be <= 10'],
    ['.inf', { type: 'number', maximum: 10 }, 'is .inf, must be <= 10'],
    ['-.inf', { minimum: 0 }, 'is -.inf, must be >= 0'],
    ['.nan', { maximum: 10 }, 'is .nan, must be <= 10'],
    ['.inf', { type: 'integer' }, 'is .inf, must be integer'],
    ['.inf', { type: 'string' }, 'is .inf, must be string'],
    ['.inf', { multipleOf: 0.5 }, 'is .inf, must be a multiple of 0.5'],
    ['.inf', { const: 5 }, 'is .inf, must be 5'],
  ])('%s is named as YAML writes it, against %j', async (value, schema, detail) => {
    const errors = await errorsOf({ properties: { x: schema } }, `x: ${value}\n`, 'a.yaml');
    expect(errors).toMatchObject([{ message: `a.yaml:1 /x ${detail}`, actual: value }]);
  });
});

describe('a schema that is none', () => {
  test.each([
    [
      { $schema: 'http://json-schema.org/draft-03/schema#' },
      '/$schema',
      /^schemas\/s.json:2 \/\$schema is "http:\/\/json-schema.org\/draft-03\/schema#", must name one of the drafts draft-04, draft-06, draft-07, 2019-09, 2020-12 of JSON Schema/,
    ],
    [{ $schema: 'https://example.com/dialect' }, '/$schema', /is "https:\/\/example.com\/dialect", must name one of the drafts/],
    [
      { properties: { a: { items: [{ type: 'string' }] } } },
      '/properties/a/items',
      /^schemas\/s.json:4 \/properties\/a\/items is a list, must be one schema: write "prefixItems", or name an older draft in "\$schema" \(JSON Schema 2020-12\)$/,
    ],
    [{ type: 'objekt' }, '/type', /^schemas\/s.json:2 \/type is "objekt", must be "array" or .* \(JSON Schema 2020-12\)$/],
    [{ properties: { a: { required: true } } }, '/properties/a/required', /is true, must be array \(JSON Schema 2020-12\)$/],
    [
      { $schema: D7, properties: { a: { exclusiveMinimum: true } } },
      '/properties/a/exclusiveMinimum',
      /is true, must be number \(JSON Schema draft-07\)$/,
    ],
    [{ properties: { a: { 'x-secret': 'yes' } } }, '/properties/a/x-secret', /^schemas\/s.json:4 .* is "yes", must be true or false$/],
    [{ multipleOf: 0 }, '/multipleOf', /is 0, must be > 0/],
    [{ $ref: '#/$defs/none' }, '/$ref', /^schemas\/s.json:2 \/\$ref is "#\/\$defs\/none", which is no place in that schema$/],
    [{ $ref: 'none.json' }, '/$ref', /^schemas\/s.json:2 \/\$ref is "none.json", must be a file of this repository$/],
    [{ $ref: 'https://example.com/none' }, '/$ref', /must be a file of this repository: schemas are never fetched from elsewhere$/],
    [{ properties: { a: { $dynamicRef: '#none' } } }, '/properties/a/$dynamicRef', /which is no place in that schema$/],
  ])('is one error with file, line and pointer: %j', async (schema, pointer, message) => {
    const errors = await errorsOf(schema, '{}');
    expect(errors).toMatchObject([{ file: 'schemas/s.json', pointer, message: expect.stringMatching(message) }]);
  });
});

describe('alternatives that all fail', () => {
  const schema = { anyOf: [{ type: 'string' }, { const: 0 }, { properties: { a: { type: 'integer' } } }] };

  test('are reported for those that the value may mean', async () => {
    const errors = await errorsOf(schema, '{\n"a":"x"}');
    expect(errors.map(({ pointer, rule }) => [pointer, rule])).toEqual([
      ['', 'anyOf'],
      ['/a', 'type'],
    ]);
    expect((await errorsOf({ anyOf: [{ type: 'string' }, { const: 0 }] }, '1')).map(({ rule }) => rule)).toEqual([
      'type',
      'const',
      'anyOf',
    ]);
  });

  test('show the fault of a schema where it is', async () => {
    expect(await errorsOf({ $schema: D7, items: [{ type: 'objekt' }] }, '[]')).toMatchObject([{ pointer: '/items/0/type', rule: 'enum' }]);
    expect(await errorsOf({ type: ['string', 'string'] }, '1')).toMatchObject([{ pointer: '/type', rule: 'uniqueItems' }]);
  });
});

describe('references between the files of a repository', () => {
  test('are relative to the file, to its "$id", or an "$id" that another file has', async () => {
    const more: Files = {
      'schemas/types.yaml': '$id: https://example.com/types\n$defs:\n  n: { minimum: 0 }\n  m: { $ref: more.json }\n',
      'schemas/more.json': '{"$id":"https://example.com/more","minimum":5}',
    };
    const schema = {
      $id: 'https://example.com/root',
      properties: {
        a: { $ref: 'types.yaml#/$defs/n' },
        b: { $ref: 'https://example.com/types#/$defs/n' },
        c: { $ref: 'types#/$defs/m' },
        d: { $ref: 'https://example.com/root#/properties/a' },
      },
    };
    expect(await errorsOf(schema, '{"a":-1,"b":-1,"c":4,"d":-1}', 'a.json', more)).toMatchObject(
      ['/a', '/b', '/c', '/d'].map((pointer) => ({ pointer, rule: 'minimum' })),
    );
  });

  test('reach a file of another draft, which is read by its own rules', async () => {
    const old = JSON.stringify({ $schema: D7, items: [{ type: 'string' }], definitions: { s: { type: 'string' } } });
    const schema = { $schema: D20, properties: { list: { $ref: 'old.json' }, name: { $ref: 'old.json#/definitions/s' } } };
    expect(await errorsOf(schema, '{"list":[1],"name":2}', 'a.json', { 'schemas/old.json': old })).toMatchObject([
      { pointer: '/list/0', rule: 'type' },
      { pointer: '/name', rule: 'type' },
    ]);
  });

  test('take the draft of the file that refers, where "$schema" is missing', async () => {
    const schema = { $schema: D7, properties: { list: { $ref: 'my%20list.json' } } };
    expect(await errorsOf(schema, '{"list":[1]}', 'a.json', { 'schemas/my list.json': '{"items":[{"type":"string"}]}' })).toMatchObject([
      { pointer: '/list/0', rule: 'type' },
    ]);
  });
});

describe('an error of a schema that many folders share', () => {
  const dir = mkdtemp(join(tmpdir(), 'bellwether-schemas-'));
  afterAll(async () => rm(await dir, { recursive: true }));

  const fleet: Files = {
    'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\nschemas: schemas\n',
    'schemas/s.json': '{\n  "properties": {\n    "a": { "pattern": "\\\\Ax" }\n  }\n}\n',
    ...Object.fromEntries(
      ['t1', 't2', 't3', 't4', 't5'].flatMap((name) => [
        [`devices/${name}/bellwether.yaml`, manifest('s.json', 'a.json')],
        [`devices/${name}/a.json`, '{"a":"x"}'],
      ]),
    ),
  };

  test('makes each of them invalid', async () => {
    const { paths } = await prepare(fleet, 'fleet');
    expect(paths.map(({ verdict }) => verdict)).toEqual(Array(5).fill('invalid'));
    for (const { errors } of paths) expect(errors).toMatchObject([{ file: 'schemas/s.json', line: 3, pointer: '/properties/a/pattern' }]);
  });

  test('is one line of "validate" with the folders that it stops', async () => {
    for (const [name, text] of Object.entries(fleet)) {
      await mkdir(dirname(join(await dir, name)), { recursive: true });
      await writeFile(join(await dir, name), String(text));
    }
    const { errors } = await validateCheckout(await dir);
    expect(errors.map(({ message }) => message)).toEqual([
      'schemas/s.json:3 /properties/a/pattern is "\\\\Ax", which has \\A, which is not part of ECMA-262: write ^ for the start of the text; it stops 5 folders: devices/t1, devices/t2, devices/t3 and 2 more',
    ]);
  });

  test('names a single folder too', async () => {
    const fixtures = fileURLToPath(new URL('../../fixtures/fleet', import.meta.url));
    const one = join(await dir, 'one');
    await cp(fixtures, one, { recursive: true });
    await writeFile(join(one, 'schemas/edge-router.schema.json'), '{"type":"objekt"}');
    const { errors } = await validateCheckout(one);
    expect(errors).toHaveLength(1);
    expect(errors[0]?.message).toMatch(/; it stops (the folder|\d folders:) devices\/[^ ]+/);
  });
});
