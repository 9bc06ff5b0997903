import { describe, expect, test } from 'vitest';
import { syntaxOf } from '../../src/document/document.ts';
import { parseText } from '../../src/document/parse.ts';
import { defaultRevisionLimits } from '../../src/revision/limits.ts';
import { redactConfig } from '../../src/revision/secret/redact.ts';
import { MANIFEST, messages, onlyPath } from '../revision/layered.ts';

const valueIn = (text: string): unknown => {
  const parsed = parseText(text, 'yaml', defaultRevisionLimits);
  return parsed.ok ? parsed.document.value : parsed.fault;
};
const D = 'd: &d { port: 80, tls: true }\n';

describe('a merge key', () => {
  test.each([
    ['of one alias', `${D}t: { <<: *d, port: 8080 }\n`, { port: 8080, tls: true }],
    ['after what it would bring', `${D}t: { port: 8080, <<: *d }\n`, { port: 8080, tls: true }],
    ['of a list, whose first map wins', `${D}e: &e { port: 81, x: 1 }\nt: { <<: [*e, *d] }\n`, { port: 81, x: 1, tls: true }],
    ['of a map that has one itself', `${D}e: &e { <<: *d, x: 1 }\nt:\n  <<: *e\n`, { port: 80, tls: true, x: 1 }],
    ['of a map in its place', `t: { <<: { a: 1 }, b: 2 }\n`, { a: 1, b: 2 }],
    ['twice', `${D}e: &e { x: 1 }\nt: { <<: *d, <<: *e, y: 2 }\n`, { port: 80, tls: true, x: 1, y: 2 }],
    ['twice, with the same values', `${D}t: { <<: *d, <<: [*d] }\n`, { port: 80, tls: true }],
    ['in quotes, where it is a name', 't: { "<<": 1 }\n', { '<<': 1 }],
    ['with its tag', `${D}t: { !!merge <<: *d }\n`, { port: 80, tls: true }],
  ])('%s', (_what, text, expected) => {
    expect(valueIn(text)).toMatchObject({ t: expected });
  });

  test.each([
    ['of a text', 'a: 1\nt:\n  <<: x\n', 3, 'is a merge key, must have a map or a list of maps'],
    ['of a list of texts', 't: { <<: [x] }\n', 1, 'is a merge key, must have a map'],
    [
      'twice, with different values',
      `${D}e: &e { port: 81 }\nt:\n  <<: *d\n  <<: *e\n`,
      5,
      'comes from two merge keys with different values',
    ],
  ])('%s is refused', (_what, text, line, detail) => {
    expect(valueIn(text)).toMatchObject({ line, rule: 'merge', detail: expect.stringContaining(detail) });
  });

  const schema = {
    properties: { t: { required: ['port', 'tls'], additionalProperties: false, properties: { port: { maximum: 90 }, tls: {} } } },
  };
  const files = {
    'base/s.json': JSON.stringify(schema),
    'base/bellwether.yaml': `${MANIFEST}validate: [{ files: a.yaml, schema: s.json }]\n`,
  };

  test('is validated as merged, and its text stays', async () => {
    const text = `${D}t: { <<: *d, port: 81 }\n`;
    const { texts, errors } = await onlyPath({ ...files, 'base/a.yaml': text, 'devices/a/a.yaml': 'x: 1\n' });
    expect(errors).toEqual([]);
    expect(texts['a.yaml']).toBe(`${text}x: 1\n`);
    const wrong = await onlyPath({ ...files, 'devices/a/a.yaml': 'd: &d { port: 100, tls: true }\nt:\n  <<: *d\n' }, {});
    expect(messages(wrong)).toEqual(['devices/a/a.yaml:3 /t/port is 100, must be <= 90']);
  });

  test('hides a secret that it brings', () => {
    const shown = redactConfig(Buffer.from('d: &d { user: me, code: abcdefgh }\nt: { <<: *d }\n'), 'a.yaml', ['/t/code']);
    expect(shown).not.toContain('abcdefgh');
    expect(shown).toContain('user: me');
  });
});

describe('aliases', () => {
  const uses = (count: number) => Array.from({ length: count }, (_, index) => `b${index}: *a\n`).join('');

  test('may be used as often as a file likes, while what they repeat stays small', () => {
    for (const count of [101, 5_000])
      expect(valueIn(`a: &a { x: 1, y: [2, 3] }\n${uses(count)}`)).toMatchObject({ b100: { x: 1, y: [2, 3] } });
  });

  test('are bounded by all that they repeat, nested ones too', () => {
    const long = `a: &a "${'x'.repeat(100_000)}"\n`;
    expect(valueIn(long + uses(40))).toMatchObject({ b39: expect.any(String) });
    expect(valueIn(long + uses(50))).toMatchObject({ rule: 'aliases', line: expect.any(Number) });
    expect(valueIn(`a: &a { x: ["${'x'.repeat(1_000)}"] }\n${uses(50_000)}`)).toMatchObject({ rule: 'aliases' });
  });

  test('of themselves, or of nothing, are refused with their line', () => {
    expect(valueIn('a: 1\nb: &b\n  c: *b\n')).toMatchObject({ rule: 'aliases', line: 3, detail: 'has an alias that contains itself' });
    expect(valueIn('a: *a\n')).toMatchObject({ rule: 'aliases', line: 1 });
  });
});

test('a file is read as YAML 1.2: words and numbers of YAML 1.1 are what their spelling says there', () => {
  expect(valueIn('a: yes\nb: 0644\nc: 0o17\nd: 12:30:00\ne: 1_000\nf: ~\ng: 2001-12-14\nh: .inf\n')).toEqual({
    a: 'yes',
    b: 644,
    c: 15,
    d: '12:30:00',
    e: '1_000',
    f: null,
    g: '2001-12-14',
    h: Number.POSITIVE_INFINITY,
  });
  expect(valueIn('%YAML 1.1\n---\na: yes\n')).toEqual({ a: 'yes' });
  expect(valueIn('12345678901234567890: a\n12345678901234567891: b\n')).toEqual({
    '12345678901234567890': 'a',
    '12345678901234567891': 'b',
  });
  expect(syntaxOf('A.YML')).toBe('yaml');
});
