import type { IncomingMessage } from 'node:http';
import { CompactSign, exportJWK, generateKeyPair } from 'jose';
import { describe, expect, test } from 'vitest';
import { verifyDesired } from '../../agent/server/desired.ts';
import { followFolders } from '../../src/device/folders.ts';
import { addressOfRequest } from '../../src/http/address.ts';
import { forwardedPrefix } from '../../src/http/base-path.ts';
import { type Row, readRows } from '../../src/inventory/import-rows.ts';
import { RolloutWindows, windowState } from '../../src/policy/windows.ts';
import { proxyFor, readProxies } from '../../src/wire/proxies.ts';

describe('the client behind a proxy', () => {
  const from = (forwarded: string) => {
    const request = { headers: { 'x-forwarded-for': forwarded }, socket: { remoteAddress: '127.0.0.1' } };
    return addressOfRequest(request as unknown as IncomingMessage, true);
  };
  test.each([
    ['203.0.113.7:51234', '203.0.113.7'],
    ['[2001:db8::1]:51234', '2001:db8::1'],
    ['"[2001:db8::1]:443"', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['10.0.0.1, 203.0.113.7:80', '203.0.113.7'],
    ['203.0.113.7, ', '203.0.113.7'],
    ['2001:db8::1', '2001:db8::1'],
    ['203.0.113.7:51234, unknown', '127.0.0.1'],
    ['203.0.113.7:port', '127.0.0.1'],
  ])('%s is %s', (forwarded, address) => {
    expect(from(forwarded)).toBe(address);
  });

  test.each([
    ['/bw//', '/bw'],
    ['/a/, /b/', '/a/b'],
    ['/B%C3%BC', '/B%C3%BC'],
  ])('the prefix %s is %s', (header, prefix) => {
    expect(forwardedPrefix(header)).toBe(prefix);
  });
});

describe('proxies of the environment', () => {
  const isDirect = (except: string, url: string) =>
    proxyFor(readProxies({ HTTP_PROXY: 'http://p:1', HTTPS_PROXY: 'http://p:1', NO_PROXY: except }), new URL(url)) === undefined;
  test.each([
    ['10.*', 'http://10.1.2.3/', true],
    ['10.*', 'http://110.1.2.3/', false],
    ['192.168.*.*', 'http://192.168.1.2/', true],
    ['*.corp.*', 'http://git.corp.example/', true],
    ['*.corp.*', 'http://corpse.example/', false],
    ['git-*.example.com:8443', 'https://git-1.example.com:8443/', true],
    ['git-*.example.com:8443', 'https://git-1.example.com/', false],
    ['[fd00::1]:8443', 'https://[fd00::1]:8443/', true],
    ['[fd00::]/8', 'http://[fd12::1]/', true],
    ['fd00::/8', 'http://[fd12::1]/', true],
    ['10.0.0.0/8:8080', 'http://10.1.1.1:8080/', true],
    ['10.0.0.0/8', 'http://[::ffff:10.0.0.1]/', true],
    ['http://git.example.com/', 'http://git.example.com/', true],
    ['<local>', 'http://intranet/', true],
    ['<local>', 'http://git.example.com/', false],
    ['a.example;b.example', 'http://b.example/', true],
    ['a.example|b.example', 'http://b.example/', true],
  ])('NO_PROXY=%s, %s: direct %s', (except, url, direct) => {
    expect(isDirect(except, url)).toBe(direct);
  });

  test.each([
    ['http://u:p@ss@proxy:3128', 'http://u:p%40ss@proxy:3128/'],
    ['proxy:3128', 'http://proxy:3128/'],
    ['"http://proxy:3128"', /has quotes around it/],
    ["'http://proxy:3128'", /has quotes around it/],
    ['http://u:100%@proxy:3128', /a "%" that encodes nothing \(percent-encode/],
    ['http://u:a#b@proxy:3128', /is no URL \(percent-encode/],
    ['socks5h://proxy:1080', /has the scheme "socks5h"/],
  ])('HTTPS_PROXY=%s', (value, expected) => {
    if (typeof expected === 'string') expect(readProxies({ HTTPS_PROXY: value }).https).toBe(expected);
    else expect(() => readProxies({ HTTPS_PROXY: value })).toThrow(expected);
    if (typeof expected !== 'string') expect(() => readProxies({ HTTPS_PROXY: value })).not.toThrow(/a#b|100%/);
  });
});

describe('lists of devices as spreadsheets write them', () => {
  async function read(text: string, format: 'csv' | 'lines' = 'csv', size = 3): Promise<Row[]> {
    const chunks = async function* () {
      for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size);
    };
    return readRows(chunks(), format);
  }
  const devices = (rows: Row[]) => rows.map((row) => ('device' in row ? [row.device.id, row.device.name, row.device.labels] : row.errors));
  const TWO = [
    ['t-1', 'Kasse "A", 1', { floor: '2' }],
    ['t-2', 'B', {}],
  ];

  test.each([
    ['commas, a byte order mark and quotes', '\ufeff"id","name","label.floor"\r\n"t-1","Kasse ""A"", 1","2"\r\nt-2,B,\r\n'],
    ['semicolons', '\ufeffid;name;label.floor\r\nt-1;"Kasse ""A"", 1";2\r\nt-2;B;\r\n'],
    ['tabs', 'id\tname\tlabel.floor\nt-1\t"Kasse ""A"", 1"\t2\nt-2\tB\t'],
    ['a line that names the separator', '\ufeffsep=;\r\nid;name;label.floor\r\nt-1;"Kasse ""A"", 1";2\r\nt-2;B;\r\n'],
    ['rows that were emptied', 'id,name,label.floor\nt-1,"Kasse ""A"", 1",2\n,,\nt-2,B,\n,,\n , ,\n'],
    ['names of columns in another case', 'ID,Name,Label.floor\nt-1,"Kasse ""A"", 1",2\nt-2,B,\n'],
    ['a column without name or value', 'id,name,label.floor,\nt-1,"Kasse ""A"", 1",2,\nt-2,B,,\n'],
    ['spaces around ids and names', ' id , name, label. floor\n t-1,"Kasse ""A"", 1 ",2\nt-2\u00a0, B ,\n'],
  ])('with %s', async (_what, text) => {
    for (const size of [1, 7, 10_000]) expect(devices(await read(text, 'csv', size))).toEqual(TWO);
  });

  test.each([
    ['id,simulated\nt-1,WAHR\n', [[{ pointer: '/simulated', detail: 'is "WAHR", must be true or false' }]]],
    ['id,name,\nt-1,x,y\n', [[{ pointer: '', detail: 'line 2 has a value in column 3, which has no name' }]]],
    ['sep=;\nid;name\n;x\n', [[{ pointer: '/id', detail: 'is missing' }]]],
  ])('%j says what is wrong', async (text, errors) => {
    expect(devices(await read(text))).toEqual(errors);
  });

  test('a header that is none names columns and separators, and so do line ends of a carriage return alone', async () => {
    await expect(read('id|name\nt-1|x\n')).rejects.toThrow(/separated by commas, semicolons or tabs/);
    await expect(read('id,name\rt-1,x\r')).rejects.toThrow(/end in a carriage return alone/);
  });

  test('one line of a megabyte is read in linear time', async () => {
    await expect(read('0'.repeat(2 ** 20), 'csv', 2 ** 16)).rejects.toThrow(/Cannot import the column/);
  });

  test('JSON lines with a byte order mark and CRLF, and a list in their place', async () => {
    expect(devices(await read('\ufeff{"id":"t-1"}\r\n{"id":"t-2"}\r\n', 'lines'))).toEqual([
      ['t-1', 't-1', {}],
      ['t-2', 't-2', {}],
    ]);
    const [first] = devices(await read('[{"id":"t-1"},{"id":"t-2"}]', 'lines'));
    expect(first).toEqual([{ pointer: '', detail: expect.stringMatching(/^begins a list, must be one JSON object per line/) }]);
  });
});

describe('windows around changes of clocks', () => {
  const state = (windows: object, at: string) => windowState(RolloutWindows.parse({ timeZone: 'Europe/Berlin', ...windows }), new Date(at));
  const nightly = (cron: string, durationMinutes = 60) => ({ allow: [{ cron, durationMinutes }] });
  test.each([
    ['a night over the leap', nightly('0 22 * * *', 480), '2026-03-29T00:45:00Z', { closesAt: new Date('2026-03-29T05:00:00Z') }],
    ['a start that the leap passes over', nightly('30 2 * * 7'), '2026-03-29T00:45:00Z', { opensAt: new Date('2026-03-29T01:00:00Z') }],
    ['a start that comes twice', nightly('30 2 * * SUN'), '2026-10-25T00:15:00Z', { opensAt: new Date('2026-10-25T00:30:00Z') }],
    ['the last day of a month', nightly('0 2 L * *'), '2026-03-28T20:00:00Z', { opensAt: new Date('2026-03-31T00:00:00Z') }],
    [
      'a leap of half an hour',
      { timeZone: 'Australia/Lord_Howe', ...nightly('15 2 * * *', 30) },
      '2026-10-03T15:00:00Z',
      { opensAt: new Date('2026-10-03T15:30:00Z') },
    ],
  ])('%s', (_what, windows, at, expected) => {
    expect(state(windows, at)).toMatchObject(expected);
  });
});

test('a folder in another case or Unicode form is the same to its device; the exact name goes first', () => {
  const folder = (path: string) => ({ path, isNew: true, isTaken: false });
  const follow = (id: string, path: string, ...found: string[]) => followFolders([{ id, path }], found.map(folder))[0]?.to;
  expect(follow('till-7', 'devices/Till-7', 'devices/till-7')).toBe('devices/till-7');
  expect(follow('k', 'devices/Caf\u00e9', 'devices/Cafe\u0301')).toBe('devices/Cafe\u0301');
  expect(follow('k', 'a/Kiosk', 'b/kiosk', 'c/d/Kiosk')).toBe('c/d/Kiosk');
  expect(follow('k', 'a/Kiosk', 'b/kiosk', 'c/KIOSK')).toBeUndefined();
});

test('a device that counts anew under a new key takes no state that is older than the last one it took', async () => {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
  const { x = '' } = await exportJWK(publicKey);
  const at = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString();
  const stateOf = (sequence: number, issuedAt: string) =>
    new CompactSign(
      Buffer.from(
        JSON.stringify({
          ...{ deviceId: 'd', organizationId: 'o', sequence, issuedAt, expiresAt: at(60), deploymentId: null, bundle: null },
          ...{ driftPolicy: 'report', commands: [], pollAfterSeconds: 0, heartbeatSeconds: 30 },
        }),
      ),
    )
      .setProtectedHeader({ alg: 'EdDSA', kid: 'k', typ: 'bellwether-desired+jwt' })
      .sign(privateKey);
  const signingKeys = [{ kty: 'OKP' as const, crv: 'Ed25519' as const, kid: 'k', x }];
  const anew = { deviceId: 'd', organizationId: 'o', signingKeys, sequence: -1, sequenceDigest: null, issuedAt: at(-5), now: new Date() };
  expect(await verifyDesired(await stateOf(0, at(-1)), anew)).toMatchObject({ sequence: 0 });
  for (const sequence of [0, 900])
    await expect(verifyDesired(await stateOf(sequence, at(-10)), anew)).rejects.toMatchObject({ code: 'desired_replayed' });
});
