import { describe, expect, test } from 'vitest';
import type { DeviceFacts } from '../../src/device/facts.ts';
import { prepareRevision } from '../../src/prepare/prepare.ts';
import type { RevisionLimits } from '../../src/revision/limits.ts';
import { defaultRevisionLimits } from '../../src/revision/limits.ts';
import type { PreparedPath } from '../../src/revision/revision.ts';
import { redactConfig } from '../../src/revision/secret/redact.ts';
import type { Files } from './memory-source.ts';
import { MemorySource } from './memory-source.ts';

const FLEET = `apiVersion: bellwether/v1
kind: Fleet
devices: "devices/*"
layers: { base: base, labels: [{ match: { role: pos }, from: labels/pos }], sites: "sites/*" }
templates: ["**/*.liquid", "plain/*"]
`;
const MANIFEST = 'apiVersion: bellwether/v1\nkind: DeviceConfig\n';
const DEVICE: DeviceFacts = { id: 'till-1', name: 'Till 1', type: 'till', labels: { role: 'pos' }, site: 'berlin' };

type Outcome = PreparedPath & { texts: Record<string, string> };

/** The folder `devices/a` of a device that is a till in Berlin. */
async function render(files: Files, facts: Partial<DeviceFacts> = {}, limits: Partial<RevisionLimits> = {}): Promise<Outcome> {
  const source = new MemorySource();
  const commit = source.commit({ 'fleet.yaml': FLEET, 'base/.keep': '', 'labels/pos/.keep': '', 'devices/a/.keep': '', ...files });
  const devices = new Map([['devices/a', [{ ...DEVICE, ...facts }]]]);
  const revision = await prepareRevision(source, {
    commit,
    layout: 'fleet',
    previous: null,
    sourceName: 'tills',
    provenance: true,
    limits: { ...defaultRevisionLimits, maxValidationMs: 60_000, ...limits },
    queries: { devicesOf: async () => devices, adaptersOf: async () => new Map(), dependents: async () => [] },
    builtinSchemas: new Map(),
  });
  expect(revision.errors).toEqual([]);
  const path = revision.paths[0]!;
  const listed = path.bundle?.manifest.files ?? [];
  return {
    ...path,
    texts: Object.fromEntries(listed.map((file) => [file.path, Buffer.from(revision.blobs.get(file.sha256) ?? '').toString()])),
  };
}

const rendered = async (template: string, files: Files = {}) => {
  const path = await render({ 'base/t.txt.liquid': template, ...files });
  expect(path.errors).toEqual([]);
  return path.texts['t.txt'];
};
const refusal = async (template: string, files: Files = {}, limits: Partial<RevisionLimits> = {}) => {
  const path = await render({ 'base/t.txt.liquid': template, ...files }, {}, limits);
  expect(path).toMatchObject({ verdict: 'invalid', bundle: null });
  return path.errors[0];
};

describe('a template', () => {
  test('reads the device, the source, and the variables of its layers, a later one winning', async () => {
    const variables = {
      'base/variables.yaml': 'ntp: pool.example.net\nnet: { vlan: 1, name: x }\ngone: 1\nport: 80\n',
      'labels/pos/variables.yaml': 'net: { vlan: 2 }\n',
      'sites/berlin/variables.yaml': 'ntp: ntp.berlin.example.net\ngone: null\n',
      'devices/a/variables.yaml': 'port: 443\n',
    };
    const text =
      '{{ device.id }} {{ device.name }} {{ device.type }} {{ device.labels.role }} {{ device.site }} {{ source.name }} {{ ntp }} {{ net.vlan }} {{ net.name }} {{ port }}';
    const path = await render({ 'base/t.txt.liquid': text, ...variables });
    expect(path.texts).toEqual({ 't.txt': 'till-1 Till 1 till pos berlin tills ntp.berlin.example.net 2 x 443' });
    expect(path.provenance?.files.find((file) => file.path === 't.txt')).toEqual({
      path: 't.txt',
      from: [{ layer: 'base', file: 'base/t.txt.liquid', template: true }],
      values: [],
      variables: [
        { name: '/ntp', layer: 'site berlin', file: 'sites/berlin/variables.yaml', line: 1 },
        { name: '/net/vlan', layer: 'labels role=pos', file: 'labels/pos/variables.yaml', line: 1 },
        { name: '/net/name', layer: 'base', file: 'base/variables.yaml', line: 2 },
        { name: '/port', layer: 'device', file: 'devices/a/variables.yaml', line: 1 },
      ],
    });
    expect(await refusal('{{ gone }}', variables)).toMatchObject({ rule: 'undefined_variable' });
  });

  test('loses its suffix, has none where the pattern is another, and stays as it is where none matches', async () => {
    const { texts } = await render({
      'base/plain/a.conf': '{{ device.id }}',
      'base/b.conf': '{{ device.id }}',
      'base/c.liquid/d': '{{ device.id }}',
    });
    expect(texts).toMatchObject({ 'plain/a.conf': 'till-1', 'b.conf': '{{ device.id }}', 'c.liquid/d': '{{ device.id }}' });
  });

  test('that gives JSON or YAML is merged like any other file', async () => {
    const { texts } = await render({
      'base/a.json.liquid': '{"id": {{ device.id | json }}, "quoted": {{ text | json }}, "n": 1}',
      'base/variables.yaml': 'text: a "quoted" word\n',
      'labels/pos/a.json': '{"n": 2}',
      'devices/a/a.json.liquid': '{"n": {% if device.site == "berlin" %}3{% else %}4{% endif %} }',
    });
    expect(texts['a.json']).toBe('{"id": "till-1", "quoted": "a \\"quoted\\" word", "n": 3}');
  });

  test('can make the manifest', async () => {
    const path = await render({
      'base/bellwether.yaml.liquid': `${MANIFEST}files: [{ from: {{ device.type }}.conf }]\n`,
      'base/till.conf': 'x',
    });
    expect(path.texts).toEqual({ 'till.conf': 'x' });
  });

  test('takes a variable that may be missing only in a condition or with a default', async () => {
    expect(
      await rendered('{% if nothing %}1{% else %}2{% endif %}{% unless device.labels.lane %}3{% endunless %}{{ no.thing | default: "4" }}'),
    ).toBe('234');
    expect((await render({ 'base/t.liquid': '{% if device.site %}site{% else %}none{% endif %}' }, { site: null })).texts.t).toBe('none');
  });

  test.each([
    ['a variable that is not there', 'a\n  {{ ntp.server }}', 2, 'uses the variable "ntp", which is not there (column 6)'],
    [
      'a part of one that is not there',
      '{{ device.labels.lane }}',
      1,
      'uses the variable "device.labels.lane", which is not there (column 4)',
    ],
    ['an unknown filter', '\n{{ device.id | shout }}', 2, 'cannot be rendered: undefined filter: shout (column 1)'],
    ['a tag that is not closed', '{% if device.id %}', 1, 'cannot be rendered: tag {% if device.id %} not closed (column 1)'],
    ['an object', '{{ device.labels }}', 1, 'cannot be rendered: prints an object: use "| json" (column 1)'],
    ['a list', '{{ "a,b" | split: "," }}', 1, 'cannot be rendered: prints a list: use "| json" or "| join" (column 1)'],
    ['an include', '{% include "/etc/passwd" %}', 1, 'cannot be rendered: tag "include" not found (column 1)'],
    ['a partial', '{% render "base/x" %}', 1, 'cannot be rendered: tag "render" not found (column 1)'],
    ['a layout', '{% layout "base/x" %}', 1, 'cannot be rendered: tag "layout" not found (column 1)'],
    ['the time', '{{ "now" | date: "%s" }}', 1, 'cannot be rendered: undefined filter: date (column 1)'],
    ['chance', '{{ "a,b" | split: "," | sample }}', 1, 'cannot be rendered: undefined filter: sample (column 1)'],
    ['a constructor', '{{ device.constructor.name }}', 1, 'uses the variable "device.constructor", which is not there (column 4)'],
    ['a prototype', '{{ device.__proto__ }}', 1, 'uses the variable "device.__proto__", which is not there (column 4)'],
    ['the global object', '{{ globalThis }}', 1, 'uses the variable "globalThis", which is not there (column 4)'],
    ['a function of a value', '{{ device.id.toString }}', 1, 'uses the variable "device.id.toString", which is not there (column 4)'],
  ])('with %s is refused with file, line, column and reason', async (_what, template, line, detail) => {
    const error = await refusal(template);
    expect(error).toMatchObject({ code: 'template', file: 'base/t.txt.liquid', line, rendered: 'devices/a/t.txt' });
    expect(error?.message).toBe(`base/t.txt.liquid:${line} ${detail} (in devices/a/t.txt)`);
  });

  test.each([
    ['a range without end', '{% for i in (1..100000000) %}x{% endfor %}', 'maxTemplateChars'],
    ['text in loops', `{% for i in (1..100000) %}${'x'.repeat(1000)}{% endfor %}`, 'maxTemplateChars'],
    ['text that doubles', `{% assign a = "xxxxxxxxxx" %}${'{% assign a = a | append: a %}'.repeat(40)}{{ a }}`, 'maxTemplateChars'],
    [
      'a capture that doubles',
      `{% assign a = "xxxxxxxxxx" %}${'{% capture a %}{{ a }}{{ a }}{% endcapture %}'.repeat(40)}`,
      'maxTemplateChars',
    ],
    [
      'loops in loops',
      '{% for i in (1..100000) %}{% for j in (1..1) %}{% for k in (1..20) %}{% endfor %}{% endfor %}{% endfor %}',
      'maxValidationMs',
    ],
    ['nesting without end', `${'{% if true %}'.repeat(12_000)}`, 'template'],
    ['a text that is too long', 'x'.repeat(300_000), 'maxTemplateBytes'],
  ])('that is a bomb of %s ends with an error of its folder', async (_what, template, rule) => {
    // Only what nothing else bounds meets the clock.
    const maxValidationMs = rule === 'maxValidationMs' ? 300 : 60_000;
    expect((await refusal(template, {}, { maxValidationMs }))?.rule).toBe(rule);
  });

  test('that takes long to read is told for every device, which it does not hold up in turn', async () => {
    const source = new MemorySource();
    const files: Files = { 'fleet.yaml': FLEET, 'base/t.liquid': '{{a}}'.repeat(50_000), 'labels/pos/.keep': '' };
    for (let n = 0; n < 30; n += 1) files[`devices/d${n}/.keep`] = '';
    const limits = { ...defaultRevisionLimits, maxValidationMs: 50 };
    const { paths } = await prepareRevision(source, {
      commit: source.commit(files),
      layout: 'fleet',
      previous: null,
      limits,
      builtinSchemas: new Map(),
    });
    expect(paths).toHaveLength(30);
    for (const path of paths) expect(path.errors[0]).toMatchObject({ code: 'validation_timeout', file: 'base/t.liquid' });
  });

  test('whose text is not valid is told with the place in what it gave', async () => {
    const path = await render({
      'base/a.json.liquid': '{\n  "id": {{ device.id }}\n}',
      'base/bellwether.yaml': `${MANIFEST}validate: [{ files: b.json, schema: s.json }]\n`,
      's.json': '{"properties":{"port":{"maximum":1024}}}',
      'base/b.json.liquid': '{\n"port": {{ port }} }',
      'base/variables.yaml': 'port: 5000\n',
    });
    expect(path.errors.map((error) => error.message)).toEqual([
      'base/a.json.liquid /id must have a value here (in devices/a/a.json:2)',
      'base/b.json.liquid /port is 5000, must be <= 1024 (in devices/a/b.json:2)',
    ]);
  });
});

describe('variables', () => {
  test.each([
    ['a name that is taken', { 'base/variables.yaml': 'a: 1\ndevice: {}\n' }, 'reserved', '/device', 2],
    ['no names', { 'base/variables.yaml': '- 1\n' }, 'type', '', undefined],
    ['a syntax error', { 'base/variables.yaml': 'a: [\n' }, 'yaml', '', 2],
    ['__proto__', { 'base/variables.yaml': '__proto__: { x: 1 }\n' }, 'prototype', '/__proto__', 1],
  ])('with %s are refused', async (_what, files, rule, pointer, line) => {
    const { errors } = await render(files);
    expect(errors).toMatchObject([{ file: 'base/variables.yaml', rule, pointer }]);
    expect(errors[0]?.line).toBe(line);
  });

  test('are a file like any other where there are no templates, and have another name where the manifest says so', async () => {
    const plain = await render({
      'fleet.yaml': FLEET.replace(/templates.*\n/, ''),
      'base/variables.yaml': 'a: 1\n',
      'base/t.liquid': '{{ a }}',
    });
    expect(plain.texts).toEqual({ 't.liquid': '{{ a }}', 'variables.yaml': 'a: 1\n' });
    const named = await render({
      'fleet.yaml': `${FLEET}variables: vars/all.json\n`,
      'base/vars/all.json': '{"a":1}',
      'base/t.liquid': '{{ a }}',
      'base/variables.yaml': 'x',
    });
    expect(named.texts).toEqual({ t: '1', 'variables.yaml': 'x' });
  });
});

describe('a secret variable', () => {
  const variables = { 'base/variables.yaml': 'admin: { password: hunter2hunter2 }\nntp: pool\npin: 4711\n' };

  test('is among the secrets of a file, wherever a template puts it', async () => {
    const path = await render({
      ...variables,
      'base/a.json.liquid': '{"motd": "log in with {{ admin.password }}", "ntp": {{ ntp | json }}, "list": [{{ pin }}]}',
      'base/b.conf.liquid': 'join net {{ admin.password }}\n',
      'base/c.json.liquid': '{"hash": "{{ admin.password | sha256 }}"}',
      'base/d.conf.liquid': 'server {{ ntp }}\n',
    });
    expect(path.secretPointers).toEqual({ 'a.json': ['/list/0', '/motd'], 'b.conf': [''], 'c.json': ['/hash'] });
    const shown = (file: string) => redactConfig(Buffer.from(path.texts[file] ?? ''), file, path.secretPointers?.[file]);
    expect(JSON.parse(shown('a.json'))).toEqual({ motd: '[redacted]', ntp: 'pool', list: ['[redacted]'] });
    expect(shown('b.conf')).toBe('[not shown: a template puts secret variables into this file, or its schema marks it as a whole]');
    expect(shown('c.json')).toBe('{"hash": "[redacted]"}');
    expect(shown('d.conf')).toBe('server pool\n');
    expect(JSON.stringify(path.provenance)).not.toContain('hunter2');
  });

  test('is not told by an error', async () => {
    const path = await render({
      ...variables,
      'base/bellwether.yaml': `${MANIFEST}validate: [{ files: a.json, schema: s.json }]\n`,
      's.json': '{"properties":{"motd":{"maxLength":3},"login":{"enum":["x"]}}}',
      'base/a.json.liquid': '{"motd": "{{ admin.password }}", "login": "{{ admin.password }}"}',
    });
    expect(path.errors.map((error) => error.message)).toEqual([
      'base/a.json.liquid /motd is a secret value that breaks the rule "maxLength" (in devices/a/a.json:1)',
      'base/a.json.liquid /login is a secret value that breaks the rule "enum" (in devices/a/a.json:1)',
    ]);
    expect(JSON.stringify(path.errors)).not.toContain('hunter2');
  });
});
