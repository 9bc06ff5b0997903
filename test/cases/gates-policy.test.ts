import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatErrors, formatWarnings, validateCheckout } from '../../src/cli/validate/validate.ts';
import { RolloutPolicy } from '../../src/policy/policy.ts';
import { checkWaves } from '../../src/rollout/decide/wave-check.ts';

/** Errors and warnings of `validate --devices` and `plan` about the waves of a policy. */

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'bellwether-waves-'));
});
afterAll(() => rm(work, { recursive: true, force: true }));

const known = ['till-1', 'till-2', 'till-10', 'scale-1'].map((id) => ({ id, labels: { ring: id === 'till-1' ? 'canary' : 'wide' } }));
const check = (policy: unknown) => checkWaves(RolloutPolicy.parse(policy), null, known);
const codes = (policy: unknown) => check(policy).warnings.map(({ code }) => code);

async function checkout(name: string, files: Record<string, string>): Promise<string> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(work, name, path)), { recursive: true });
    await writeFile(join(work, name, path), text);
  }
  return join(work, name);
}

describe('validate --devices', () => {
  const FLEET = `apiVersion: bellwether/v1
kind: Fleet
devices: "devices/*"
rollout:
  waves:
    - name: canary
      devices:
        - till-1
        - tlil-2
    - { name: pilot, selector: { ring: pilot } }
    - { devices: [till-1], gate: { minSucceeded: 2 } }
`;
  const folders = Object.fromEntries(known.map(({ id }) => [`devices/${id}/app.json`, '{}']));

  test('refuses an unknown device of a wave with its line and the nearest ids, and warns of waves that can never pass', async () => {
    const dir = await checkout('fleet', { 'fleet.yaml': FLEET, 'devices.json': JSON.stringify(known), ...folders });
    const { errors, warnings } = await validateCheckout(dir, { devices: join(dir, 'devices.json') });
    expect(formatErrors(errors)).toBe(
      'fleet.yaml:9:/rollout/waves/0/devices/1: unknown_device: is "tlil-2", which is no known device of this source; the nearest known ids are "till-2", "till-1"\n',
    );
    expect(formatWarnings(warnings).trimEnd().split('\n')).toEqual([
      'fleet.yaml:10:/rollout/waves/1: warning empty_wave: wave "pilot" selects {"ring":"pilot"}, which no device has: a rollout would stop there and wait for an operator',
      'fleet.yaml:11:/rollout/waves/2: warning min_succeeded: wave "wave 3" has 1 device, and its gate requires 2 successes: it can never pass',
    ]);
    // Without a list of devices, no device is unknown.
    expect(await validateCheckout(dir)).toMatchObject({ errors: [], warnings: [] });
  });

  test('does the same for the manifest of a repository that is one configuration', async () => {
    const manifest = 'apiVersion: bellwether/v1\nkind: DeviceConfig\nrollout: { waves: [{ devices: [nobody-at-all] }] }\n';
    const dir = await checkout('repo', { 'bellwether.yaml': manifest, 'app.json': '{}' });
    const devices = await checkout('lists', { 'devices.yaml': '- { id: till-1 }\n' });
    const { errors, warnings } = await validateCheckout(dir, { layout: 'repo', devices: join(devices, 'devices.yaml') });
    expect(errors).toMatchObject([{ file: 'bellwether.yaml', line: 3, pointer: '/rollout/waves/0/devices/0', actual: 'nobody-at-all' }]);
    expect(errors[0]?.message).not.toContain('nearest');
    expect(warnings).toMatchObject([{ code: 'empty_wave', line: 3 }]);
  });
});

describe('checkWaves()', () => {
  test.each([
    ['devices that there are', { waves: [{ devices: ['till-1'] }, { selector: { ring: 'wide' } }, { count: 1 }] }, []],
    ['a share of which nobody is left', { waves: [{ count: 2 }, { selector: { ring: 'wide' } }, { devices: ['till-1'] }] }, ['empty_wave']],
    ['a gate above a number', { waves: [{ count: 1, gate: { minSucceeded: 2 } }] }, ['min_succeeded']],
    ['a gate above a share', { waves: [{ upToPercent: 25, gate: { minSucceeded: 2 } }] }, ['min_succeeded']],
    ['a gate of all waves', { waves: [{ devices: ['till-1'] }, { count: 2 }], gate: { minSucceeded: 2 } }, ['min_succeeded']],
    ['a gate that fits', { waves: [{ upToPercent: 50, gate: { minSucceeded: 2 } }] }, []],
  ])('warns of %s as it should', (_name, policy, warnings) => {
    expect(codes(policy)).toEqual(warnings);
    expect(check(policy).errors).toEqual([]);
  });
});
