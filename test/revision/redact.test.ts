import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { redactConfig } from '../../src/revision/secret/redact.ts';
import { isSecretName, looksSecret } from '../../src/revision/secret/secret.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
/** Letters that cannot come from elsewhere in the text. */
const PLANTED = 'Zx9Qw7Kj';
const PEM = `-----BEGIN PRIVATE KEY-----\n${PLANTED}AAA\n${PLANTED}BBB\n-----END PRIVATE KEY-----`;

describe('redactConfig', () => {
  test('replaces secrets in JSON and YAML and keeps every line', () => {
    expect(redactConfig(bytes('{\n  "user": "me",\n  "password": "p4ss",\n  "pin": 1234\n}'), 'a.json')).toBe(
      '{\n  "user": "me",\n  "password": "[redacted]",\n  "pin": "[redacted]"\n}',
    );
    expect(redactConfig(bytes('user: me # it is me\nmqtt: { apiKey: k1, host: h }\nsecret: |\n  one\n  two\nlast: 1\n'), 'a.yaml')).toBe(
      'user: me # it is me\nmqtt: { apiKey: "[redacted]", host: h }\nsecret: "[redacted]"\nlast: 1\n',
    );
  });

  test('replaces what a schema marked, and everything below it', () => {
    expect(redactConfig(bytes('{"a":{"b":[1,"x"]},"c":"x"}'), 'a.json', ['/a'])).toBe('{"a":{"b":["[redacted]","[redacted]"]},"c":"x"}');
  });

  test('leaves switches that have a secret name', () => {
    expect(redactConfig(bytes('{"passwordLogin":true,"token":null}'), 'a.json')).toBe('{"passwordLogin":true,"token":null}');
    expect(redactConfig(bytes('{"passwordLogin":true}'), 'a.json', ['/passwordLogin'])).toBe('{"passwordLogin":"[redacted]"}');
  });

  test.each([
    ['an alias of a scalar', `a: &x ${PLANTED}\npassword: *x\n`, 'a.yaml'],
    ['an alias of a number', 'a: &x 90817263\npassword: *x\n', 'a.yaml'],
    ['an alias of a map', `a: &x { v: ${PLANTED} }\nsecrets: *x\n`, 'a.yaml'],
    ['a comment', `a: 1 # password: ${PLANTED}\n# token = ${PLANTED}\n`, 'a.yaml'],
    ['a private key', JSON.stringify({ file: PEM }), 'a.json'],
    ['a URL', `a: https://me:${PLANTED}@example.com/x\n`, 'a.yaml'],
    ['a repetition elsewhere', JSON.stringify({ password: PLANTED, command: `login -x ${PLANTED}` }), 'a.json'],
    ['several documents', `a: 1\n---\npassword: ${PLANTED}\n`, 'a.yaml'],
    ['a broken file', `{"password": ["x",\n"${PLANTED}"`, 'a.json'],
    ['an ini file', `[wifi]\npsk = ${PLANTED}\n`, 'a.ini'],
    ['an environment file', `export MQTT_PASSWORD="${PLANTED} b"\n`, '.env'],
    ['a router configuration', `username admin password 7 ${PLANTED}\nsnmp-server community ${PLANTED} RO\n`, 'a.cfg'],
    ['a key file', PEM, 'a.pem'],
    ['an argument', `ARGS=--token=${PLANTED}\n`, 'a.conf'],
    ['a quoted key', `"password": "${PLANTED}"\n`, 'a.jsonc'],
  ])('does not leak a secret through %s', (_what, text, name) => {
    const shown = redactConfig(bytes(text), name);
    expect(shown).not.toContain(PLANTED);
    expect(shown).not.toContain('90817263');
    expect(shown).not.toBe('');
  });

  test('shows of a binary only its size', () => {
    expect(redactConfig(Uint8Array.of(0, 255, 1), 'a.json')).toBe('[binary file of 3 bytes]');
  });

  test('never leaks what is planted under a secret name or a marked pointer, at any place, in JSON or YAML', () => {
    const key = fc.oneof(
      fc.constantFrom('name', 'port', 'a/b', 'x~y', 'ü', ''),
      fc.string({ maxLength: 6 }).filter((name) => name !== '__proto__'),
    );
    const secretKey = fc.constantFrom('password', 'dbPassword', 'API_KEY', 'client-secret', 'authToken', 'wifi_psk', 'privateKey');
    const plain = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null));
    const secret = fc
      .oneof(fc.string(), fc.constantFrom('\n', '"', "'", '\\', ': ', ' #', '\t', 'é'))
      .map((text) => `${PLANTED}${text}${PLANTED}`);
    const tree = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        plain,
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(key, tie('value'), { maxKeys: 3 }),
        fc.record({ plain: tie('value'), marked: secret }),
        fc.tuple(secretKey, secret).map(([name, value]) => ({ [name]: value })),
        fc.tuple(secretKey, secret).map(([name, value]) => ({ [name]: { deep: [value] } })),
      ),
    })).value;
    let planted = 0;
    fc.assert(
      fc.property(tree, fc.boolean(), fc.integer({ min: 0, max: 4 }), (value, isJson, indent) => {
        const text = isJson
          ? JSON.stringify(value, null, indent)
          : stringify(value, { indent: Math.max(indent, 1), aliasDuplicateObjects: false });
        if (text.includes(PLANTED)) planted += 1;
        const shown = redactConfig(bytes(text), isJson ? 'a.json' : 'a.yaml', markedPointers(value, ''));
        expect(shown).not.toContain(PLANTED);
      }),
      { numRuns: 600 },
    );
    expect(planted).toBeGreaterThan(100);
  });
});

function markedPointers(value: unknown, at: string): string[] {
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    const pointer = `${at}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    return name === 'marked' ? [pointer] : markedPointers(inner, pointer);
  });
}

describe('a secret', () => {
  test('is known by its name in any style', () => {
    for (const name of [
      'password',
      'adminPasswd',
      'API-KEY',
      'api_key',
      'apikey',
      'clientSecret',
      'authtoken',
      'accessToken',
      'wpa_psk',
      'privateKey',
      'PIN',
      'snmpCommunity',
      'merchantKey',
    ])
      expect(isSecretName(name), name).toBe(true);
    for (const name of ['name', 'keyboard', 'pinout', 'tokenize', 'spin', 'port', 'publicKey', 'key', 'primary_key', 'monkey', 'mapping'])
      expect(isSecretName(name), name).toBe(false);
  });

  test('is known by its look', () => {
    expect(looksSecret('mqtts://u:p@host')).toBe(true);
    expect(looksSecret('https://host:8443/a@b')).toBe(false);
    expect(looksSecret('mailto:a@b')).toBe(false);
  });
});
