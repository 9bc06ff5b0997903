import { describe, expect, test } from 'vitest';
import { messages, onlyPath, TEMPLATES } from '../revision/layered.ts';
import { merged, read } from './documents.ts';

describe('a block scalar without a line break at the end of its file', () => {
  test.each([
    ['a: |\n  x', { a: 'x' }],
    ['a: |+\n  x', { a: 'x' }],
    ['a: >\n  x\n  y', { a: 'x y' }],
    ['a: |\n  x\n', { a: 'x\n' }],
    ['a: |\n  x\n  ', { a: 'x\n' }],
    ['a: |-\n  x', { a: 'x' }],
  ])('%j is read as YAML, PyYAML and go-yaml read it', (text, value) => {
    expect(read(text).value).toEqual(value);
  });

  test.each([
    ['a: |\n  x', 'b: 1\n', 'a: |-\n  x\nb: 1\n'],
    ['a: |2\n    x', 'b: 1\n', 'a: |2-\n    x\nb: 1\n'],
    ['a:\n  b:\n    - x\n    - >+\n      y\n      z', 'c: 1\n', 'a:\n  b:\n    - x\n    - >-\n      y\n      z\nc: 1\n'],
    ['a: 1\nz: 2\n', 'a: |\n  x', 'a: "x"\nz: 2\n'],
    ['a: 1\nb: |\n  x', 'a: 2\n', 'a: 2\nb: |\n  x'],
  ])('%j keeps its value when it is merged with %j', (base, patch, text) => {
    expect(merged(base, patch)).toBe(text);
  });
});

describe('anchors', () => {
  test.each([
    ['&k key: v\nother: *k\n', { key: 'v', other: 'key' }],
    ['a: &k key\nb:\n  *k : 1\n', { a: 'key', b: { key: 1 } }],
    ['a: &k { b: 1 }\n*k : 1\n', null],
  ])('may stand on keys, and aliases of texts in the place of keys: %j', (text, value) => {
    if (value === null) expect(() => read(text)).toThrow('must have only plain keys');
    else expect(read(text).value).toEqual(value);
  });

  test.each([
    ['a key keeps it', '&k key: v\nother: *k\n', 'x: 1\n', '&k key: v\nother: *k\nx: 1\n'],
    ['an aliased key is the same key', 'a: &k key\nb:\n  *k : 1\n', 'b: { key: 2, z: 1 }\n', 'a: &k key\nb:\n  *k : 2\n  z: 1\n'],
    ['a key of the upper file brings it', 'a: 1\n', '&k b: 2\nc: *k\n', 'a: 1\n&k b: 2\nc: *k\n'],
    // PyYAML refuses a file that has one name twice.
    ['of the same name in both files', 'a: &x {p: 1}\nb: *x\n', 'c: &x {p: 2}\nd: *x\n', 'a: &x {p: 1}\nb: *x\nc: {p: 2}\nd: {p: 2}\n'],
    ['of the same name on a scalar', 'a: &x 1\n', 'c: [&x 2, *x]\n', 'a: &x 1\nc: [2, 2]\n'],
    ['of the same name and place', 'd: &d {p: 1}\nu: 2\n', 'd: &d {p: 1}\nu: 3\n', 'd: &d {p: 1}\nu: 3\n'],
  ])('%s', (_what, base, patch, text) => {
    expect(merged(base, patch)).toBe(text);
  });
});

describe('a merge as people of each tool need it', () => {
  test.each([
    [
      'Home Assistant: includes, and integrations without options',
      'homeassistant:\n  packages: !include_dir_named packages\nfrontend:\nconfig:\n',
      'homeassistant: {name: Home}\nfrontend:\n  themes: !include_dir_merge_named themes\n',
      'homeassistant:\n  packages: !include_dir_named packages\n  name: Home\nfrontend:\n  themes: !include_dir_merge_named themes\nconfig:\n',
    ],
    [
      'cloud-init: two lines of head, modes, literals',
      '## template: jinja\n#cloud-config\n\nhostname: till\nwrite_files:\n- path: /etc/x\n  content: |\n    a\n\n    b\n  permissions: 0644\n',
      '## template: jinja\n#cloud-config\nhostname: till-7\n',
      '## template: jinja\n#cloud-config\n\nhostname: till-7\nwrite_files:\n- path: /etc/x\n  content: |\n    a\n\n    b\n  permissions: 0644\n',
    ],
    [
      'Compose: a part of what a merge key brings',
      'x-l: &l\n  logging: {driver: json-file, options: {max-size: 10m}}\nservices:\n  web:\n    <<: *l\n    ports:\n      - 22:22\n',
      'services:\n  web:\n    logging: {options: {max-size: 5m}}\n',
      'x-l: &l\n  logging: {driver: json-file, options: {max-size: 10m}}\nservices:\n  web:\n    <<: *l\n    ports:\n      - 22:22\n    logging: {driver: json-file, options: {max-size: 5m}}\n',
    ],
    [
      'Ansible: a vault text in another indentation',
      'db:\n    pw: !vault |\n          $ANSIBLE_VAULT;1.1;AES256\n          3362\n    u: 1\n',
      'db:\n  pw: !vault |\n    $ANSIBLE_VAULT;1.1;AES256\n    9999\n',
      'db:\n    pw: !vault |\n      $ANSIBLE_VAULT;1.1;AES256\n      9999\n    u: 1\n',
    ],
    [
      'netplan: four columns and two',
      'network:\n    ethernets:\n        eth0:\n            dhcp4: no\n',
      'network:\n  ethernets:\n    eth0:\n      dhcp4: null\n      addresses:\n      - 10.0.0.2/24\n',
      'network:\n    ethernets:\n        eth0:\n            addresses:\n            - 10.0.0.2/24\n',
    ],
    [
      'Zigbee2MQTT: quotes of keys',
      "devices:\n  '0x00158d0001e5a1b2':\n    friendly_name: door # front\n",
      'devices:\n  "0x00158d0001e5a1b2":\n    retain: true\n',
      "devices:\n  '0x00158d0001e5a1b2':\n    friendly_name: door # front\n    retain: true\n",
    ],
    [
      'brackets over several lines with comments',
      'ports: {\n  http: 80,   # web\n  https: 443  # tls\n}\n',
      'ports: {ssh: 22}\n',
      'ports: {\n  http: 80,   # web\n  https: 443,  # tls\n  ssh: 22\n}\n',
    ],
    ['an indentation indicator', 'a:\n  b: 1\n', 'a:\n    c: |2\n        x\n       y\n', 'a:\n  b: 1\n  c: |2\n      x\n     y\n'],
    ['a literal that keeps its empty lines', 'a: y\nb: 1\n', 'a: |+\n  x\n\n\n', 'a: |+\n  x\n\n\nb: 1\n'],
    ['a directive and the end of a document', '%YAML 1.1\n---\na: yes\n...\n', 'b: 1\n', '%YAML 1.1\n---\na: yes\nb: 1\n...\n'],
    ['a key of several lines', '? |\n  long key\n: 1\nx: 1\n', 'x: 2\n', '? |\n  long key\n: 1\nx: 2\n'],
    ['no line break at the end', 'a: 1\n...', 'b: 2', 'a: 1\nb: 2\n...'],
  ])('%s', (_what, base, patch, text) => {
    expect(merged(base, patch)).toBe(text);
  });
});

const VARIABLES = `mtu: 1500
gain: 1.50
enabled: True
quiet: FALSE
nothing: ~
vlans:
  100: { name: office }
  20: { name: voice }
  x: { name: other }
map: { b: 1, 2: two, 1: one }
big: 12345678901234567890
bigger: 12345678901234567891
same: 1234567890123456789e1
ifaces:
  - { name: eth1, vlan: 100, up: True, w: 1.50 }
  - { name: eth0, vlan: 20, up: FALSE, w: 1.50 }
  - { name: wlan0, vlan: 100 }
`;

async function outcome(template: string, more: Record<string, string> = {}) {
  return await onlyPath({ 'fleet.yaml': TEMPLATES, 'base/variables.yaml': VARIABLES, 'base/t.txt.liquid': template, ...more }, {});
}

describe('a template', () => {
  test.each([
    [
      'runs through a map in the order of its file',
      '{% for v in vlans %}{{ v[0] }}={{ v[1].name }} {% endfor %}',
      '100=office 20=voice x=other ',
    ],
    ['prints a map in the order of its file', '{{ map | json }}', '{"b":1,"2":"two","1":"one"}'],
    [
      'finds members of such a map',
      '{{ vlans[100].name }} {{ vlans["20"].name }} {% if vlans contains "100" %}yes{% endif %}',
      'office voice yes',
    ],
    [
      'takes items by a member that some lack',
      '{{ ifaces | where: "up" | map: "name" | join }} {{ ifaces | reject: "up" | map: "name" | join }}',
      'eth1 eth0 wlan0',
    ],
    ['compares a member that some lack', '{{ ifaces | where: "up", true | map: "name" | join }} {{ ifaces | has: "w", 2 }}', 'eth1 false'],
    [
      'groups numbers and switches by their spelling',
      '{% assign g = ifaces | group_by: "w" %}{% for x in g %}{{ x.name }}:{{ x.items | size }} {% endfor %}',
      '1.50:2 :1 ',
    ],
    ['has each switch once', '{% assign l = "" | split: "" | push: enabled | push: enabled %}{{ l | uniq | size }}', '1'],
    [
      'prints a null of the lowest layer as nothing',
      '[{{ nothing }}] {{ nothing | json }} {{ nothing | default: "d" }}{% if nothing == nil %} nil{% endif %}',
      '[] null d nil',
    ],
    [
      'prints a switch as written beside "default"',
      '{{ quiet | default: "d", allow_false: true }} {{ enabled | default: "d" }} {{ quiet | default: "d" }}',
      'FALSE True d',
    ],
    [
      'keeps the rest of Liquid',
      'a\n{%- for i in (1..3) -%}\n{{- i -}}\n{%- endfor -%}\nb{% raw %}{{ x }}{% endraw %}{% comment %}{{ no | no }}{% endcomment %}',
      'a123b{{ x }}',
    ],
  ])('%s', async (_what, template, text) => {
    const path = await outcome(template);
    expect(path.errors).toEqual([]);
    expect(path.texts['t.txt']).toBe(text);
  });

  test.each([
    '{{ mtu | divided_by: 0 }}',
    '{{ mtu | plus: 1 | divided_by: 0 }}',
    '{{ mtu | divided_by: 0 | json }}',
    '{{ gain | modulo: 0 }}',
  ])('%s is an error with its line', async (template) => {
    expect(messages(await outcome(`\n${template}`))).toEqual([
      'base/t.txt.liquid:2 cannot be rendered: calculates something that is no finite number (column 1) (in devices/a/t.txt)',
    ]);
  });

  test('calculates and compares in decimal', async () => {
    const path = await outcome(
      '{{ 0.1 | plus: 0.2 }} {{ 1.1 | times: 3 }} {{ gain | times: 2 }} {{ 7 | divided_by: 2 }} {{ map | size }}' +
        '{% if big == bigger %} equal{% endif %}{% if big == same %} same{% endif %}{% if big < bigger %} less{% endif %}',
    );
    expect(path.errors).toEqual([]);
    expect(path.texts['t.txt']).toBe('0.3 3.3 3 3.5 3 same less');
  });

  test.each(['{{ big | plus: 1 }}', '{{ bigger | minus: big }}', '{{ 9007199254740991 | plus: 2 }}', '{{ 1 | at_most: big }}'])(
    'refuses to lose digits: %s',
    async (template) => {
      expect(messages(await outcome(template))).toEqual([
        'base/t.txt.liquid:1 cannot be rendered: calculates with a whole number beyond 9007199254740991 (column 1) (in devices/a/t.txt)',
      ]);
    },
  );

  test('misses a variable that a later layer removes, or that is nowhere', async () => {
    const more = { 'devices/a/variables.yaml': 'mtu: null\nnothing: 5\n' };
    expect(messages(await outcome('{{ mtu }}', more))[0]).toContain('uses the variable "mtu", which is not there');
    expect((await outcome('{{ nothing }}', more)).texts['t.txt']).toBe('5');
    expect(messages(await outcome('{{ vlans[7].name }}'))[0]).toContain('which is not there');
  });
});
