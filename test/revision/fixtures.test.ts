import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { formatErrors, validateCheckout } from '../../src/cli/validate/validate.ts';
import { deviceConfigJsonSchema } from '../../src/prepare/manifest/device-config.ts';
import { fleetJsonSchema } from '../../src/prepare/manifest/fleet.ts';
import { redactConfig } from '../../src/revision/secret/redact.ts';

const fixtures = fileURLToPath(new URL('../../fixtures/', import.meta.url));
const schemas = fileURLToPath(new URL('../../schemas/', import.meta.url));
const repositories = ['pos-terminal', 'edge-router', 'sensor-gateway', 'fleet', 'layered-fleet'];

let work = '';
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'bellwether-fixtures-'));
  for (const name of repositories) await cp(join(fixtures, name), join(work, name), { recursive: true });
});
afterEach(() => rm(work, { recursive: true }));

async function change(file: string, from: string, to: string): Promise<void> {
  const text = await readFile(join(work, file), 'utf8');
  expect(text).toContain(from);
  await writeFile(join(work, file), text.replace(from, to));
}

describe('the sample repositories', () => {
  test.each([
    ['pos-terminal', 1],
    ['edge-router', 1],
    ['sensor-gateway', 1],
    ['fleet', 5],
  ])('%s validates, with %i device folders', async (name, paths) => {
    expect(await validateCheckout(join(work, name))).toEqual({ errors: [], warnings: [], paths });
  });

  test.each([
    ['pos-terminal', 'config/terminal.json', '"id": 120', '"id": 5000', 13, '/vlan/id', 'maximum'],
    ['pos-terminal', 'config/terminal.json', '"dhcp"', '"static"', 16, '/network/address', 'required'],
    ['pos-terminal', 'config/terminal.json', '"supervisorPin": "47110"', '"supervisorPin": "secret-pin"', 26, '/supervisorPin', 'pattern'],
    ['pos-terminal', 'config/terminal.json', '"currency": "EUR"', '"currency": "Euro"', 6, '/store/currency', 'pattern'],
    ['edge-router', 'config/router.yaml', 'vlan: 10\n', 'vlan: 5000\n', 10, '/lan/0/vlan', 'maximum'],
    ['edge-router', 'config/router.yaml', 'protocol: pppoe', 'protocol: static', 2, '/wan/address', 'required'],
    ['edge-router', 'config/router.yaml', 'mtu: 1492', 'mut: 1492', 7, '/wan/mut', 'unevaluatedProperties'],
    ['edge-router', 'config/router.yaml', 'psk: example-not-a-real-psk', 'psk: short', 18, '/wifi/psk', 'minLength'],
    ['sensor-gateway', 'config/gateway.yaml', 'port: 8883', 'port: 88830', 4, '/mqtt/port', 'maximum'],
    [
      'sensor-gateway',
      'config/gateway.yaml',
      'flushIntervalSeconds: 2.5',
      'flushIntervalSeconds: 0',
      13,
      '/buffer/flushIntervalSeconds',
      'exclusiveMinimum',
    ],
    ['sensor-gateway', 'config/gateway.yaml', 'tls: true', 'tls: false', 8, '/mqtt/password', 'false schema'],
    ['fleet', 'devices/till-0102/config/terminal.json', '"T-0102"', '"0102"', 2, '/terminalId', 'pattern'],
  ])('%s: %s with %j → %j fails at its line and pointer', async (name, file, from, to, line, pointer, rule) => {
    await change(`${name}/${file}`, from, to);
    const { errors } = await validateCheckout(join(work, name));
    expect(errors).toContainEqual(expect.objectContaining({ file, line, pointer, rule }));
    expect(formatErrors(errors)).toContain(`${file}:${line}:${pointer}: ${rule}: `);
    for (const secret of ['secret-pin', 'not-a-real', ' short,']) expect(JSON.stringify(errors)).not.toContain(secret);
  });

  test.each([
    ['pos-terminal', 'config/terminal.json', 'payments.example.com', 'payments.invalid'],
    ['edge-router', 'config/router.yaml', '[9.9.9.9, dns.example.com]', '[dns.invalid]'],
    ['sensor-gateway', 'config/gateway.yaml', 'mqtt.example.com', 'mqtt.invalid'],
  ])('%s allows a host that only the device can refuse', async (name, file, from, to) => {
    await change(`${name}/${file}`, from, to);
    expect((await validateCheckout(join(work, name))).errors).toEqual([]);
  });

  test('keep the shared schemas of the fleet equal to the bundled ones', async () => {
    for (const name of await readdir(join(fixtures, 'fleet/schemas'))) {
      expect(JSON.parse(await readFile(join(fixtures, 'fleet/schemas', name), 'utf8')), name).toEqual(
        JSON.parse(await readFile(join(schemas, name), 'utf8')),
      );
    }
  });

  test('show no secret in a preview', async () => {
    for (const file of ['pos-terminal/config/terminal.json', 'edge-router/config/router.yaml', 'sensor-gateway/config/gateway.yaml']) {
      const shown = redactConfig(await readFile(join(fixtures, file)), file);
      expect(shown).not.toContain('not-a-real');
      expect(shown).not.toContain('4711');
      expect(shown).toContain('example.com');
    }
  });
});

describe('the sample fleet with layers', () => {
  const validate = (devices = 'devices.yaml') =>
    validateCheckout(join(work, 'layered-fleet'), { devices: join(work, 'layered-fleet', devices) });
  const lines = async () =>
    formatErrors((await validate()).errors)
      .trimEnd()
      .split('\n');

  test('validates with what is known of its devices; without, it is told what is missing and why', async () => {
    expect(await validate()).toEqual({ errors: [], warnings: [], paths: 3 });
    const { errors } = await validateCheckout(join(work, 'layered-fleet'));
    expect(errors).toHaveLength(3);
    expect(errors[0]?.message).toMatch(/"store", which is not there .*; no device is known for this folder, nor labels or a site$/);
  });

  test('takes an answer of the API for the list of devices, and refuses what is none', async () => {
    const items = [
      { id: 'x1', path: 'devices/till-0101', site: 'lyon', siteId: 'an-id', labels: {}, version: 1 },
      { id: 'till-0102', name: 'T', type: 'till', site: 'lyon', path: null },
      { id: 'checkout-0201', site: 'berlin' },
    ];
    await writeFile(join(work, 'layered-fleet/list.json'), JSON.stringify({ items, nextCursor: null }));
    expect((await validate('list.json')).errors).toEqual([]);
    await writeFile(join(work, 'layered-fleet/list.json'), JSON.stringify([{ id: 'till-0101', labels: { floor: 3 } }]));
    await expect(validate('list.json')).rejects.toMatchObject({ code: 'invalid_devices' });
    await expect(validate('nothing.yaml')).rejects.toMatchObject({ code: 'invalid_devices' });
  });

  test('tells an error where it can be mended, once for each device that has it', async () => {
    await change('layered-fleet/labels/self-checkout/config/terminal.json', '"copies": 2', '"copies": 7');
    expect(await lines()).toEqual([
      'labels/self-checkout/config/terminal.json:3:/receipt/copies: maximum: is 7, must be <= 3 (in devices/checkout-0201/config/terminal.json)',
    ]);
    await change('layered-fleet/base/config/terminal.json.liquid', '"widthColumns": 42', '"widthColumns": 43');
    expect(
      (await lines()).filter((line) => line.startsWith('base/config/terminal.json.liquid:1:/receipt/widthColumns: enum: ')),
    ).toHaveLength(3);
  });
});

describe('the published schemas', () => {
  test('of the manifests are those of the code, and accept the sample manifests', async () => {
    const published = async (name: string): Promise<object> => JSON.parse(await readFile(join(schemas, name), 'utf8'));
    expect(await published('manifest.schema.json')).toEqual(JSON.parse(JSON.stringify(deviceConfigJsonSchema())));
    expect(await published('fleet.schema.json')).toEqual(JSON.parse(JSON.stringify(fleetJsonSchema())));
    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
    formats.default(ajv);
    const accepts = ajv.compile(await published('manifest.schema.json'));
    expect(
      accepts({
        apiVersion: 'bellwether/v1',
        kind: 'DeviceConfig',
        validate: [{ files: 'a/*', schema: 'builtin:x' }],
        apply: { health: { hook: 'h' } },
      }),
    ).toBe(true);
    expect(accepts({ apiVersion: 'bellwether/v1', kind: 'DeviceConfig', aply: {} })).toBe(false);
  });

  test('of the device kinds are strict JSON Schema 2020-12', async () => {
    for (const name of ['pos-terminal', 'edge-router', 'sensor-gateway']) {
      const schema = JSON.parse(await readFile(join(schemas, `${name}.schema.json`), 'utf8'));
      expect(new Ajv2020({ strict: false, formats: {} }).validateSchema(schema), name).toBe(true);
    }
  });
});

describe('validateCheckout', () => {
  test('does as the controller with links, and leaves .git aside', async () => {
    await writeFile(join(work, 'pos-terminal/.git'), 'gitdir: elsewhere');
    expect((await validateCheckout(join(work, 'pos-terminal'))).errors).toEqual([]);
    await symlink('/etc/passwd', join(work, 'pos-terminal/config/link'));
    expect((await validateCheckout(join(work, 'pos-terminal'))).errors).toMatchObject([
      { code: 'path', rule: 'symlink', file: 'config/link' },
    ]);
  });

  test('refuses what is no directory', async () => {
    await expect(validateCheckout(join(work, 'nothing'))).rejects.toMatchObject({ code: 'not_found' });
  });

  test('prints one line per error, even when its place is not known', () => {
    const error = { code: 'fleet', file: 'fleet.yaml', pointer: '', rule: 'fleet', message: 'fleet.yaml is not there' };
    expect(formatErrors([error])).toBe('fleet.yaml:1:: fleet: is not there\n');
  });
});
