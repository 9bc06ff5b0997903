import { describe, expect, test } from 'vitest';
import { messages, onlyPath, TEMPLATES } from '../revision/layered.ts';

const VARIABLES = `pin: 0042
serial: 12345678901234567890
release: 1.30
build: 12e4
small: 0.0000001
mask: 0x1F
plus: +5
debug: True
quiet: FALSE
port: 8080
list: [1.0, 0042, x, 1.0, { v: 2.50 }]
`;

async function outcome(template: string, more: Record<string, string> = {}) {
  return await onlyPath(
    { 'fleet.yaml': TEMPLATES, 'base/variables.yaml': VARIABLES, 'base/t.txt.liquid': template, ...more },
    { labels: { role: 'pos' } },
  );
}
const rendered = async (template: string, more: Record<string, string> = {}) => {
  const path = await outcome(template, more);
  expect(path.errors).toEqual([]);
  return path.texts['t.txt'];
};

describe('a variable prints as it is written', () => {
  test.each([
    [
      'by itself',
      '{{ pin }} {{ serial }} {{ release }} {{ build }} {{ small }} {{ mask }} {{ plus }} {{ port }}',
      '0042 12345678901234567890 1.30 12e4 0.0000001 0x1F +5 8080',
    ],
    ['as a switch', '{{ debug }} {{ quiet }}', 'True FALSE'],
    [
      'by way of json',
      '{{ serial | json }} {{ release | json }} {{ build | json }} {{ small | json }}',
      '12345678901234567890 1.30 12e4 0.0000001',
    ],
    ['in a list, by way of json', '{{ list | last | json }} {{ list | first | json }}', '{"v":2.50} 1.0'],
    ['in a list that is joined', '{% assign two = list | slice: 0, 2 %}{{ two | join: "," }}', '1.0,0042'],
    ['in a loop', '{% for one in list limit: 2 %}{{ one }};{% endfor %}', '1.0;0042;'],
    ['in texts', '{{ pin | append: "-x" }} {{ "v" | append: release }} {{ build | upcase }} {{ pin | size }}', '0042-x v1.30 12E4 0'],
    [
      'after assign, capture, default and cycle',
      '{% assign a = pin %}{{ a }}{% capture b %}{{ release }}{% endcapture %} {{ b }} {{ pin | default: 1 }} {% cycle pin, "x" %}',
      '0042 1.30 0042 0042',
    ],
  ])('%s', async (_what, template, text) => {
    expect(await rendered(template)).toBe(text);
  });

  test('and still counts and compares as a number', async () => {
    expect(
      await rendered(
        '{{ pin | plus: 1 }} {{ release | times: 2 }} {% if pin == 42 and 1.3 == release and build > 100 and pin <= 42 %}yes{% endif %}',
      ),
    ).toBe('43 2.6 yes');
    expect(
      await rendered('{% if debug %}on{% endif %}{% if quiet %}x{% else %}off{% endif %}{% unless quiet == false %}x{% endunless %}'),
    ).toBe('onoff');
    expect(
      await rendered('{% case pin %}{% when 42 %}is{% endcase %} {{ list | uniq | size }} {% if list contains 1 %}has{% endif %}'),
    ).toBe('is 4 has');
  });

  test('or is refused with file and line, where JSON has no such number', async () => {
    for (const [name, line] of [
      ['pin', 1],
      ['mask', 6],
      ['plus', 7],
    ] as const) {
      expect(messages(await outcome(`x\n{{ ${name} | json }}`))).toEqual([
        `base/t.txt.liquid:2 cannot be rendered: prints a number by "| json" in a spelling that JSON does not have (column 1): quote it in base/variables.yaml:${line} (in devices/a/t.txt)`,
      ]);
    }
    expect(messages(await outcome('{{ list | json }}'))[0]).toContain('quote it in base/variables.yaml:11');
    expect(messages(await outcome('{{ pin | json }}', { 'devices/a/variables.yaml': '\n\npin: 007\n' }))[0]).toContain(
      'quote it in devices/a/variables.yaml:3',
    );
  });

  test('from JSON variables, and where a later layer gives it', async () => {
    const more = { 'fleet.yaml': `${TEMPLATES}variables: v.json\n`, 'base/v.json': '{"a":1.0,"b":1e3}', 'devices/a/v.json': '{"b":-0.0}' };
    expect(await rendered('{{ a }} {{ b }} {{ b | json }}', more)).toBe('1.0 -0.0 -0.0');
  });

  test('and hides as a secret in each of its spellings', async () => {
    const path = await outcome('pin {{ admin.pin }}', {
      'base/variables.yaml': 'admin: { pin: 004711 }\n',
      'base/a.yaml.liquid': 'a: {{ admin.pin }}\nb: "{{ admin.pin }}"\nc: 1\n',
    });
    expect(path.secretPointers).toEqual({ 'a.yaml': ['/a', '/b'], 't.txt': [''] });
  });
});

test('nil is null in JSON', async () => {
  expect(await rendered('{{ proxy | default: nil | json }} {{ nil | json }} {{ empty | json }}')).toBe('null null ""');
});

test('a hash contains its names', async () => {
  const has = (what: string) => `{% if ${what} %}yes{% else %}no{% endif %}`;
  expect(await rendered(has('device.labels contains "role"'))).toBe('yes');
  expect(await rendered(has('device.labels contains "pos"'))).toBe('no');
  expect(await rendered(has('device.labels contains "constructor"'))).toBe('no');
  expect(await rendered(`${has('device.id contains "a"')} ${has('list contains "x"')} ${has('device contains "site"')}`)).toBe(
    'yes yes no',
  );
});

test('no state of a template reaches another one, nor the next device', async () => {
  const count =
    '{% increment n %}{% increment port %}{% decrement m %}{% cycle "a", "b" %}{% assign x = 1 %}{% if y %}y{% endif %}{% assign y = 1 %}{{ port }}';
  const path = await outcome(count, { 'base/u.txt.liquid': count, 'devices/a/v.txt.liquid': `${count}{{ x }}` });
  expect(path.errors).toEqual([]);
  expect(path.texts).toMatchObject({ 't.txt': '08080-1a8081', 'u.txt': '08080-1a8081', 'v.txt': '08080-1a80811' });
});
