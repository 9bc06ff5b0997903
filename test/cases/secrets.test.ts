import { describe, expect, test } from 'vitest';
import { redactConfig } from '../../src/revision/secret/redact.ts';
import { MANIFEST, messages, onlyPath, TEMPLATES } from '../revision/layered.ts';
import { PLANTED_FILES, PLANTED_TEMPLATES, PLANTED_VARIABLES } from '../security/plants.ts';
import { expectUnchanged } from '../support/secret-cases.ts';

describe('a secret that nobody marked is hidden', () => {
  test.each(PLANTED_FILES)('$kind', ({ file, secret, text }) => {
    const shown = redactConfig(Buffer.from(text), file);
    expect(text).toContain(secret);
    expect(shown).not.toContain(secret);
  });
});

const composed = (template: string, more: Record<string, string> = {}) =>
  onlyPath({ 'fleet.yaml': TEMPLATES, 'base/variables.yaml': PLANTED_VARIABLES, 'base/t.yaml.liquid': template, ...more });

describe('a secret variable is hidden after', () => {
  test.each(PLANTED_TEMPLATES)('$kind', async ({ template, shows }) => {
    const path = await composed(template);
    expect(messages(path)).toEqual([]);
    const text = path.texts['t.yaml'] ?? '';
    expect(text).toContain(shows);
    expect(redactConfig(Buffer.from(text), 't.yaml', path.secretPointers?.['t.yaml'])).not.toContain(shows);
  });
});

describe('an error does not tell a secret variable', () => {
  test.each([
    ['as the name of a member', '{{ map[net.psk] }}'],
    ['as an index', '{% assign a = "x,y" | split: "," %}{{ a[net.pin] }}'],
    ['as a changed name', '{% assign k = net.psk | upcase %}{{ map[k] }}'],
    ['as a key that a schema refuses', '{{ net.psk }}: 1'],
    ['as a key that is there twice', '{{ net.psk }}: 1\n{{ net.psk }}: 2'],
    ['as a value that a schema refuses', 'b: {{ net.psk | slice: 0, 9 }}'],
  ])('%s', async (_kind, template) => {
    const more = {
      'base/bellwether.yaml': `${MANIFEST}validate: [{ files: t.yaml, schema: s.json }]\n`,
      's.json': '{"properties":{"b":{"type":"integer"}},"additionalProperties":false}',
    };
    const path = await composed(template, more);
    expect(messages(path)).not.toEqual([]);
    expect(JSON.stringify(path)).not.toMatch(/mulberry|48151/i);
  });

  test('when layers are merged', async () => {
    const path = await composed('{{ net.psk }}: 1\n{{ net.psk }}: 2\n', { 'devices/a/t.yaml': 'b: 1\n' });
    expect(messages(path)).not.toEqual([]);
    expect(JSON.stringify(path)).not.toContain('mulberry');
  });

  test('but tells everything else', async () => {
    const [message] = messages(await composed('a: {{ net.psk }}\nb: {{ nope }}\n'));
    expect(message).toContain('base/t.yaml.liquid:2 uses the variable "nope", which is not there (column 7)');
  });
});

test('provenance does not tell names that a template made of a secret', async () => {
  const path = await onlyPath(
    {
      'fleet.yaml': TEMPLATES,
      'base/variables.yaml': PLANTED_VARIABLES,
      'base/t.yaml.liquid': '{{ net.psk }}: 1\n',
      'devices/a/t.yaml': 'b: 1\n',
    },
    {},
    { provenance: true },
  );
  expect(path.provenance).toBeDefined();
  expect(JSON.stringify(path.provenance)).not.toContain('mulberry');
});

test('a device gets what its template made, byte by byte', async () => {
  const path = await composed('a: {{ net.psk | upcase }}\nb: {{ net.pin | plus: 1 }}\nc: {{ free }}\n');
  expect(path.texts['t.yaml']).toBe('a: MULBERRYWAGON\nb: 48152\nc: open\n');
  expect(path.secretPointers).toEqual({ 't.yaml': ['/a', '/b'] });
});

test('an unknown or wrong member of a manifest does not tell its value', async () => {
  const path = await onlyPath({
    'fleet.yaml': TEMPLATES,
    'devices/a/bellwether.yaml': `${MANIFEST}vpn: mulberrywagon\napply: { adminPass: mulberrywagon, healthCheck: "https://u:mulberrywagon@h/" }\n`,
    'devices/a/x': '',
  });
  expect(messages(path).length).toBeGreaterThan(1);
  expect(JSON.stringify(path)).not.toContain('mulberrywagon');
});

test.each([
  ['a.yaml', 'vlan: { name: password-policy, id: 3 }\nkeyboard: de\nkey: volume_up\npins: [1, 2]\nsecurity: wpa2-psk\nbypass: lane\n'],
  [
    'a.yaml',
    'image: nginx:1.25@sha256:abcdef0123456789\nurl: https://h:8443/a@b\nremote: git@host:a/b.git\nmail: mailto:alice@example.com\n',
  ],
  ['a.yaml', 'pass: true\npassword: ""\ntokenTtlSeconds: 3600\nsha256: 9f86d081884c7d659a2feaa0c55ad015\nserial: AB12CD34EF56\n'],
  ['a.yaml', 'note: "The password of the user must be long"\nuuid: 123e4567-e89b-12d3-a456-426614174000\ncompass: north\n'],
  ['a.json', '{"properties":{"password":{"type":"string","description":"What the user types","minLength":8}}}'],
  ['a.csv', 'host,port\na,1\n'],
  ['a.xml', '<c><name>x</name><port>1</port></c>\n'],
  ['a.toml', '[server]\nhost = "h"\nmode = "fast"\n'],
])('what is no secret stays: %s %s', expectUnchanged);

test('only the lines of an embedded text that tell a secret are hidden', () => {
  const text = 'file: |\n  [wifi]\n  ssid = x\n  psk = hunter2\n  channel = 1\nport: 1\n';
  expect(redactConfig(Buffer.from(text), 'a.yaml')).toBe(text.replace('hunter2', '[redacted]'));
});
