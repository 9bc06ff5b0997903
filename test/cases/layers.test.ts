import { describe, expect, test } from 'vitest';
import { messages, onlyPath, prepareFiles, TEMPLATES } from '../revision/layered.ts';

type Two = readonly [base: string, device: string];

async function merged([base, device]: Two, name = 'a.yaml'): Promise<string> {
  const { texts } = await onlyPath({ [`base/${name}`]: base, [`devices/a/${name}`]: device });
  return texts[name] ?? 'not valid';
}

async function refusal([base, device]: Two, name = 'a.yaml'): Promise<string> {
  const { errors, verdict } = await onlyPath({ [`base/${name}`]: base, [`devices/a/${name}`]: device });
  expect(verdict).toBe('invalid');
  return errors.map((error) => error.message).join('\n');
}

describe('a merged file keeps of what no layer names', () => {
  test.each([
    ['tags', 'p: !secret x\nq: !include y.yaml\nf: !!float 1\nports: !reset []\n', 'name: x\n'],
    ['the spelling of numbers', 'mode: 0644\ngain: 1.0\nrelease: 1.10\nmask: 0x1F\nexp: 1e3\nhuge: 1e400\ninf: .inf\n', 'name: x\n'],
    ['words that YAML 1.1 takes for others', 'a: yes\nb: off\nc: 12:30:00\nd: 1_000\ne: =\nf: 0X1F\ng: 2001-12-14\n', 'name: x\n'],
    ['the type and order of keys', 'vlans:\n  100: { mtu: 9000 }\n  20: { mtu: 1400 }\n  "7": {}\n', 'name: x\n'],
    ['comments', '#cloud-config\n# head\n\na: 1 # one\n# about b\nb:\n  # inner\n  - x # item\n\n# end\n', ''],
    ['quotes, folds and indentation', "a: 'it''s'\nb: \"\\u00e9\"\nc: >-\n    folded\n    text\nd:\n- x\n-   y: 1\n", 'name: x\n'],
    ['anchors, aliases and merge keys', 'd: &d { port: 80 }\nt: { <<: *d, name: a }\nu: *d\n', 'name: x\n'],
    ['document marks', '%YAML 1.2\n---\na: 1\n...\n', ''],
    ['CRLF', 'a: 1\r\nb: 2\r\n', ''],
  ])('%s', async (_what, base, device) => {
    const text = await merged([base, device]);
    // What the device adds stands at the end of the map, which a comment at the end of the file follows.
    expect(text.replace('name: x\n', '')).toBe(base);
    expect(text.includes('name: x')).toBe(device !== '');
  });

  test.each([
    [
      'JSON numbers, order and layout',
      '{"n":1.0,"e":1e3,"z":-0.0,"big":12345678901234567890,"30":1,"5":2,"x":3}',
      '{"x":4.50}',
      '"x":4.50',
    ],
    ['JSON of several lines', '{\n\t"a": 1.0,\n\t"b": [1,2]\n}\n', '{"c":{"d":1e2}}', '"b": [1,2],\n\t"c":{"d":1e2}\n}\n'],
  ])('%s', async (_what, base, device, end) => {
    const text = await merged([base, device], 'a.json');
    expect(text).toContain(end);
    expect(text.slice(0, 12)).toBe(base.slice(0, 12));
    expect(text).not.toContain('-0,');
  });

  test('its byte order mark, and every byte where the layers above name nothing new', async () => {
    const base = '\ufeffa:   1.0   # one\nb: {x: 1}\n';
    for (const device of ['', '# nothing\n', '{}', 'a: 1.0\n', 'b: { x: 1 }\n', 'gone: null\n'])
      expect(await merged([base, device])).toBe(base);
    expect(await merged([base, 'a: 1.5\n'])).toBe('\ufeffa:   1.5   # one\nb: {x: 1}\n');
  });
});

describe('a value of an upper layer', () => {
  test.each([
    ['a scalar, in its own spelling', ['gain: 1.0 # dB\n', 'gain: 2.00\n'], 'gain: 2.00 # dB\n'],
    [
      'a member with a number for its key',
      ['vlans:\n  100: {mtu: 1}\n  20: x\n', 'vlans: {100: {mtu: 1500}}\n'],
      'vlans:\n  100: {mtu: 1500}\n  20: x\n',
    ],
    ['a tag', ['ports: [80]\n', 'ports: !reset []\n'], 'ports: !reset []\n'],
    ['a tag with a null beside it', ['a: 1\n', 'a: !reset null\n'], 'a: !reset null\n'],
    [
      'a block under another indentation',
      ['a:\n  b: 1\n', 'a:\n    c:\n        # why\n        d: |\n          x\n           y\n'],
      'a:\n  b: 1\n  c:\n      # why\n      d: |\n        x\n         y\n',
    ],
    ['a block into brackets', ['a: {b: 1}\n', 'a:\n  c:\n    - 0x1F\n    - "q"\n  d: x, y\n'], 'a: {b: 1, c: [0x1F, "q"], d: "x, y"}\n'],
    ['brackets into a block', ['a:\n  b: 1\n', '{"a": {"c": [1.0, "x"]}}\n'], 'a:\n  b: 1\n  "c": [1.0, "x"]\n'],
    ['a list in the place of text', ['a: x # c\nb: 1\n', 'a:\n- 1\n'], 'a:\n- 1\nb: 1\n'],
    ['text in the place of a block', ['a:\n  - 1\n  - 2\nb: 1\n', 'a: "x\\ty"\n'], 'a: "x\\ty"\nb: 1\n'],
    ['nothing, for null', ['a: 1\n# c\nb:\n  x: 1\n  y: 2\n', 'a: null\nb: {x: ~}\n'], '# c\nb:\n  y: 2\n'],
    ['an empty map, where nothing is left', ['a:\n  x: 1\nb: {y: 1}\n', 'a: {x: null}\nb: {y: null}\n'], 'a: {}\nb: {}\n'],
    [
      'the comment above it, but not the head of its file',
      ['a: 1\n', '# device\nb: 1\n# about c\nc: 2 # c\n'],
      'a: 1\nb: 1\n# about c\nc: 2 # c\n',
    ],
    ['a file of which the base has only comments', ['#cloud-config\n', 'a: 1.0\nb: null\n'], '#cloud-config\na: 1.0\n'],
    ['the same head only once', ['#cloud-config\na: 1\n', '#cloud-config\nb: 1\n'], '#cloud-config\na: 1\nb: 1\n'],
    ['an alias of which it changes a part', ['d: &d {p: 1.0, t: x}\nu: *d\n', 'u: {t: y}\n'], 'd: &d {p: 1.0, t: x}\nu: {p: 1.0, t: y}\n'],
    [
      'a member beside a merge key',
      ['d: &d {p: 80, t: yes}\nt: {<<: *d, p: 81}\n', 't: {p: 82, t: off}\n'],
      'd: &d {p: 80, t: yes}\nt: {<<: *d, p: 82, t: off}\n',
    ],
    ['anchors and merge keys of its own', ['a: 1\n', 'd: &d {p: 80}\nt:\n  <<: *d\n'], 'a: 1\nd: &d {p: 80}\nt:\n  <<: *d\n'],
    ['an alias whose anchor the base has not', ['d: {q: 1}\n', 'd: &d {p: 080}\nt: {<<: *d}\n'], 'd: {q: 1, p: 080}\nt: {p: 080}\n'],
    ['CRLF, where the base has it', ['a: 1\r\n', 'b:\n  - x\n'], 'a: 1\r\nb:\r\n  - x\r\n'],
  ] as const)('puts in %s', async (_what, files, text) => {
    expect(await merged(files)).toBe(text);
  });

  test('that a template made keeps its spelling too', async () => {
    const { texts } = await onlyPath({
      'fleet.yaml': TEMPLATES,
      'base/a.yaml': 'mode: 0644\nrelease: 1.10\nx: 1\n',
      'devices/a/a.yaml.liquid': 'x: {{ build }}\ny: 0x1F\n',
      'devices/a/variables.yaml': 'build: 12e4\n',
    });
    expect(texts['a.yaml']).toBe('mode: 0644\nrelease: 1.10\nx: 12e4\ny: 0x1F\n');
  });

  test('goes through four layers as through one', async () => {
    const { texts } = await onlyPath(
      {
        'base/a.yaml': '#cloud-config\nntp: a # base\nvlan: {id: 0x1, name: x}\n',
        'labels/pos/a.yaml': 'vlan: {id: 0x2}\n',
        'sites/berlin/a.yaml': '# site\nntp: berlin\n',
        'devices/a/a.yaml': 'vlan: {name: null}\nid: 007\n',
      },
      { labels: { role: 'pos' }, site: 'berlin' },
    );
    expect(texts['a.yaml']).toBe('#cloud-config\nntp: berlin # base\nvlan: {id: 0x2}\nid: 007\n');
  });
});

describe('what a merge cannot keep is refused with file and line', () => {
  test.each([
    ['a map with a tag', ['m: !Ref {a: 1}\n', 'x: 1\nm: {b: 2}\n'], 'devices/a/a.yaml:2 /m cannot be merged: the map has the tag !Ref'],
    [
      'a tag of the upper map',
      ['m: {a: 1}\n', 'm: !override {b: 2}\n'],
      'devices/a/a.yaml:1 /m cannot be merged: the map has the tag !override',
    ],
    [
      'a key that is a number here and a text there',
      ['100: a\n', '\n"100": b\n'],
      'devices/a/a.yaml:2 /100 is a key that readers distinguish from the key in the file below',
    ],
    ['a key of other octal digits', ['a: {yes: 1}\n', 'a: {"yes": 1}\n'], 'devices/a/a.yaml:1 /a/yes is a key that readers'],
    [
      'an anchor that others repeat',
      ['d: &d {p: 1}\nt: *d\n', 'd: {p: 2}\n'],
      'devices/a/a.yaml:1 /d changes what the file below anchors as &d',
    ],
    [
      'a number that others repeat',
      ['p: &p 80\nh: {p: *p}\n', 'x: 1\np: 81\n'],
      'devices/a/a.yaml:2 /p changes what the file below anchors as &p',
    ],
    [
      'the removal of what a merge key brings',
      ['d: &d {p: 1}\nt: {<<: *d}\n', 't: {p: null}\n'],
      'devices/a/a.yaml:1 /t/p is inherited by a merge key',
    ],
    ['several documents', ['a: 1\n---\nb: 1\n', 'a: 2\n'], 'base/a.yaml:3 has 2 YAML documents'],
  ] as const)('%s', async (_what, files, message) => {
    expect(await refusal(files)).toContain(message);
  });
});

describe('a file that SOPS encrypted', () => {
  const sops = (mac: string) => `sops:\n  mac: ENC[AES256_GCM,data:${mac},iv:a=,tag:b=,type:str]\n  version: 3.9.0\n`;
  const secret = (value: string) => `port: ENC[AES256_GCM,data:${value},iv:a=,tag:b=,type:int]\n`;

  test('takes the place of an encrypted one below it as a whole, and is not mixed with a plain one', async () => {
    const [base, device] = [secret('QQ==') + sops('x'), `# mine\n${secret('Qg==')}${sops('y')}`];
    const path = await onlyPath({ 'base/a.yaml': base, 'devices/a/a.yaml': device }, undefined, { provenance: true });
    expect(path.texts['a.yaml']).toBe(device);
    expect(path.provenance?.files.find((file) => file.path === 'a.yaml')?.from.map(({ file }) => file)).toEqual(['devices/a/a.yaml']);
    expect(await refusal(['x: 1\n', device])).toContain('devices/a/a.yaml:2 cannot be merged: this file is encrypted by SOPS');
    expect(await refusal([base, 'x: 1\n'])).toContain('cannot be merged: the file below it is encrypted by SOPS');
  });

  test('is judged by a schema as far as it can be read', async () => {
    const schema = {
      required: ['port', 'name'],
      properties: {
        port: { type: 'integer', maximum: 9 },
        name: { type: 'string' },
        tls: { anyOf: [{ type: 'boolean' }, { type: 'null' }] },
      },
      additionalProperties: false,
    };
    const files = {
      'base/s.json': JSON.stringify(schema),
      'base/bellwether.yaml': 'apiVersion: bellwether/v1\nkind: DeviceConfig\nvalidate: [{ files: a.yaml, schema: s.json }]\n',
      'devices/a/a.yaml': `${secret('QQ==')}tls: ENC[AES256_GCM,data:QQ==,iv:a=,tag:b=,type:bool]\nname: 7\nother: 1\n${sops('x')}`,
    };
    expect(messages(await onlyPath(files))).toEqual([
      expect.stringContaining('/name is 7, must be string'),
      expect.stringContaining('/other is not known here'),
    ]);
  });
});

test('what shared layers make of a file is made once, and edited for each device', async () => {
  const files = Object.fromEntries([1, 2, 3].map((n) => [`devices/d${n}/a.yaml`, `id: 0${n}\n`]));
  const { paths, blobs } = await prepareFiles({ 'base/a.yaml': '# all\nntp: 1.0\n', 'sites/x/a.yaml': 'site: x\n', ...files });
  const texts = paths
    .map((path) => path.bundle?.manifest.files.find((file) => file.path === 'a.yaml')?.sha256 ?? '')
    .map((sha256) => Buffer.from(blobs.get(sha256) ?? '').toString());
  expect(texts).toEqual([1, 2, 3].map((n) => `# all\nntp: 1.0\nid: 0${n}\n`));
});
