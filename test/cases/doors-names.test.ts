import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readAgentConfig } from '../../agent/config.ts';
import { readKnownDevices } from '../../src/cli/validate/known-devices.ts';
import { isTimeZone } from '../../src/policy/wall-clock.ts';
import { DeviceConfig } from '../../src/prepare/manifest/device-config.ts';
import { readManifest } from '../../src/prepare/manifest/reader.ts';
import { defaultRevisionLimits } from '../../src/revision/limits.ts';
import { DEVICE_ID_RULE, FILE_MODE_RULE, LABEL_KEY_RULE, type NameRule, nameFault } from '../../src/wire/names.ts';
import { run } from '../cli/server.ts';
import { ADMIN_TOKEN, openService, type TestService } from '../support/service.ts';

const ID = 'must have 1 to 63 lower-case letters, digits, ".", "_" or "-", and begin with a letter or a digit';
const KEY = 'must have 1 to 63 letters (A to Z), digits, ".", "_", "/" or "-", and begin with a letter or a digit';

let service: TestService;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
});
afterAll(() => service?.close());

test.each<[NameRule, string, string | undefined]>([
  [DEVICE_ID_RULE, 'TILL-7', 'till-7'],
  [DEVICE_ID_RULE, '02:42:AC:11:00:02', '02-42-ac-11-00-02'],
  [DEVICE_ID_RULE, ' till 7\n', 'till-7'],
  [DEVICE_ID_RULE, '_till', 'till'],
  [DEVICE_ID_RULE, 'Kasse Süd', 'kasse-sud'],
  [DEVICE_ID_RULE, 'a'.repeat(70), 'a'.repeat(63)],
  [DEVICE_ID_RULE, '東京', undefined],
  [DEVICE_ID_RULE, '', undefined],
  [LABEL_KEY_RULE, 'MAC Addr', 'MAC-Addr'],
  [LABEL_KEY_RULE, '@site', 'site'],
  [LABEL_KEY_RULE, 'Größe', 'Gro-e'],
  [FILE_MODE_RULE, '644', '0644'],
  [FILE_MODE_RULE, '4755', undefined],
])('the fault of %o for "%s" names "%s"', (rule, text, other) => {
  expect(rule.pattern.test(text)).toBe(false);
  expect(nameFault(rule, text)).toBe(`must ${rule.words}${other === undefined ? '' : `; use ${JSON.stringify(other)}`}`);
  if (other !== undefined) expect(other).toMatch(rule.pattern);
});

describe('in words, with the name that would do', () => {
  const bad = { id: 'TILL-7', type: 'till', labels: { 'MAC Addr': 'x' } };
  const errors = [
    { pointer: '/id', detail: `${ID}; use "till-7"` },
    { pointer: '/labels/MAC Addr', detail: `the name ${KEY}; use "MAC-Addr"` },
  ];

  test('the API', async () => {
    const answer = await service.api('POST', '/devices', bad);
    expect(answer.status).toBe(400);
    expect(answer.body.errors).toEqual(errors);
    expect((await service.api('GET', '/devices/02:42:AC:11:00:02')).body.errors).toEqual([
      { pointer: '/param/id', detail: `${ID}; use "02-42-ac-11-00-02"` },
    ]);
    const notification = { name: 'n', url: 'http://127.0.0.1:9', events: ['*'], labels: { 'MAC Addr': 'x' } };
    expect((await service.api('POST', '/notifications', notification)).body.errors).toEqual([errors[1]]);
    const enrolment = await service.api('POST', '/enrolment-tokens', { uses: 1, labels: { 'MAC Addr': 'x' } });
    expect(enrolment.body.errors).toEqual([errors[1]]);
  });

  test('the import', async () => {
    const send = (type: string, text: string) =>
      fetch(`${service.url}/api/v1/devices:import`, {
        method: 'POST',
        headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': type },
        body: text,
      }).then((answer) => answer.text());
    for (const [type, text] of [
      ['text/csv', 'id,type,label.MAC Addr\nTILL-7,till,x\n'],
      ['application/x-ndjson', JSON.stringify(bad)],
    ] as const) {
      const answer = JSON.stringify(JSON.parse(await send(type, text)));
      for (const { detail } of errors) expect(answer).toContain(JSON.stringify(detail).slice(1, -1));
    }
  });

  test('enrolment, and the older registration', async () => {
    const { token } = (await service.api('POST', '/enrolment-tokens', { uses: 1 })).body;
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ deviceId: 'TILL-7', labels: { 'MAC Addr': 'x' } });
    const answer = await fetch(`${service.url}/agent/v1/enroll`, { method: 'POST', headers, body });
    expect(await answer.json()).toMatchObject({ errors: [{ ...errors[0], pointer: '/deviceId' }, errors[1]] });
  });

  test('the command line', async () => {
    const env = { BELLWETHER_SERVER: service.url, BELLWETHER_TOKEN: ADMIN_TOKEN };
    const made = await run(['devices', 'get', 'TILL-7'], env);
    expect(made.err + made.out).toContain('use "till-7"');
  });

  test('the agent', () => {
    const read = (...args: string[]) => readAgentConfig(['--server', 'http://127.0.0.1:1', '--root', '/tmp/x', ...args], {});
    expect(() => read('--device-id', 'TILL-7')).toThrow(`deviceId: ${ID}; use "till-7"`);
    expect(() => read('--label', 'MAC Addr=x')).toThrow(`the name ${KEY}; use "MAC-Addr"`);
  });

  test('the file of devices of `validate`', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bellwether-names-'));
    const file = join(folder, 'devices.yaml');
    await writeFile(file, JSON.stringify([{ ...bad }]));
    await expect(readKnownDevices(file)).rejects.toThrow(`/0/id ${ID}; use "till-7"; /0/labels/MAC Addr the name ${KEY}; use "MAC-Addr"`);
    await rm(folder, { recursive: true });
  });

  test.each([
    ['rollout: { waves: [{ name: c, devices: [TILL-7] }] }', `is "TILL-7", ${ID}; use "till-7"`],
    ['rollout: { waves: [{ name: c, selector: { "MAC Addr": x } }] }', `has the name "MAC Addr", which ${KEY}; use "MAC-Addr"`],
    ['apply: { hooks: { after: Reload } }', `is "Reload", ${ID}; use "reload"`],
    ['files: [{ from: a, mode: "644" }]', 'is "644", must be four octal digits in quotes that begin with 0, such as "0644"; use "0644"'],
    ['rollout: { maxUnavailable: "10 %" }', 'such as "10%" or "2.5%"'],
    ['rollout: { windows: { timeZone: UTC, notBefore: tomorrow } }', 'is "tomorrow", must be a time with its offset'],
  ])('the manifest %s', (yaml, expected) => {
    const text = `apiVersion: bellwether/v1\nkind: DeviceConfig\n${yaml}\n`;
    const read = readManifest(DeviceConfig, Buffer.from(text), 'bellwether.yaml', defaultRevisionLimits);
    const details = read.ok ? [] : read.errors.map((error) => error.message);
    expect(details.join('\n')).toContain(expected);
    expect(details.join('\n')).not.toMatch(/must match|\/\^/);
  });
});

describe('time zones', () => {
  test.each(['Europe/Berlin', 'UTC', 'Etc/GMT+2', 'EST5EDT', 'CET', 'PST8PDT', 'US/Eastern', 'Asia/Calcutta', 'GMT', 'Cuba', 'GB'])(
    '%s is one',
    (name) => {
      expect(isTimeZone(name)).toBe(true);
    },
  );

  test.each([
    '+02:00',
    '-0300',
    '+14',
    'GMT+2',
    'UTC+2',
    'UTC+02:00',
    'Z',
    'PST',
    'ist',
    'CST',
    'BST',
    'SystemV/PST8',
    'EST5',
    'Berlin',
    'local',
    '',
  ])('"%s" is none', (name) => {
    expect(isTimeZone(name)).toBe(false);
  });

  test('the API says what is allowed', async () => {
    const answer = await service.api('POST', '/sources', {
      name: 'zones',
      url: 'http://127.0.0.1:9/a.git',
      layout: 'repo',
      rolloutPolicy: { windows: { timeZone: '+02:00' } },
    });
    expect(answer.status).toBe(400);
    expect(answer.body.errors).toEqual([
      {
        pointer: '/rolloutPolicy/windows/timeZone',
        detail: '"+02:00" is no time zone, must be an IANA name such as "Europe/Berlin", "America/New_York" or "UTC"',
      },
    ]);
  });
});
