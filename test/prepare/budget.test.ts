import { describe, expect, test } from 'vitest';
import { Budget } from '../../src/prepare/meter/budget.ts';
import { TookTooLong, threadCpuMs } from '../../src/prepare/meter/cpu-limit.ts';
import { Meter } from '../../src/prepare/meter/meter.ts';
import { prepareRevision } from '../../src/prepare/prepare.ts';
import { defaultRevisionLimits } from '../../src/revision/limits.ts';
import type { PreparedPath, PreparedRevision, PreviousRevision } from '../../src/revision/revision.ts';
import { type Files, MemorySource } from '../revision/memory-source.ts';
import { FLEET } from '../support/hostile.ts';

const MANIFEST = 'apiVersion: bellwether/v1\nkind: DeviceConfig\nvalidate:\n  - { files: app.json, schema: s.json }\n';
const limits = { ...defaultRevisionLimits, maxValidationMs: 400, maxCommitValidationMs: 1_200 };
const source = new MemorySource();

/** A look-ahead keeps the pattern from an engine of linear time. */
function wild(folder: string, pattern = '^(?=a)(a+)+$'): Files {
  return {
    [`${folder}/app.json`]: `{"name":"${'a'.repeat(60)}!"}`,
    [`${folder}/s.json`]: JSON.stringify({ properties: { name: { pattern } } }),
    [`${folder}/bellwether.yaml`]: MANIFEST,
  };
}

function prepare(files: Files, previous: PreviousRevision = null, changes = {}): Promise<PreparedRevision> {
  const commit = source.commit({ 'fleet.yaml': FLEET, ...files });
  return prepareRevision(source, { commit, layout: 'fleet', previous, limits, ...changes });
}

function pathNamed({ paths }: PreparedRevision, path: string): PreparedPath {
  const found = paths.find((candidate) => candidate.path === path);
  if (found === undefined) throw new Error(`Cannot find "${path}" among ${paths.length} paths`);
  return found;
}

function nested(of: (name: string) => Files, count: number): Files {
  return Object.assign({}, ...Array.from({ length: count }, (_, n) => of(`devices/w${String(n).padStart(3, '0')}`)));
}

const rulesOf = ({ paths }: PreparedRevision) => paths.map(({ path, verdict, errors }) => [path, errors[0]?.rule ?? verdict]);

describe('of a commit with sixty folders that run out of time', () => {
  const slow = { ...wild('devices/z-slow'), 'devices/z-slow/app.json': '{"name":"aaa"}' };
  const files = { ...nested((name) => wild(name), 60), 'devices/z-plain/app.json': '{"vlan":1}', ...slow };

  test('the first take their time, the next ever less, the others none, and who needs no clock is valid', async () => {
    const revision = await prepare(files);
    expect(revision.errors).toEqual([]);
    const rules = rulesOf(revision);
    expect(rules.slice(0, 2).map(([, rule]) => rule)).toEqual(['maxValidationMs', 'maxValidationMs']);
    // Each that ran out leaves the next one half as much.
    expect(rules.filter(([, rule]) => rule === 'maxValidationMs').length).toBeLessThan(10);
    expect(rules.slice(10, 60).every(([, rule]) => rule === 'maxCommitValidationMs')).toBe(true);
    expect(rules.at(60)).toEqual(['devices/z-plain', 'valid']);
    const [first] = pathNamed(revision, 'devices/w000').errors;
    expect(first?.message).toContain('takes longer than 400 ms to be validated');
    const [late] = pathNamed(revision, 'devices/z-slow').errors;
    expect(late).toMatchObject({ code: 'validation_timeout', file: 'devices/z-slow/s.json' });
    expect(late?.message).toMatch(
      /cannot be compiled: the commit's time for validation was used up by devices\/w000.*, devices\/w.* and \d+ more$/,
    );
  });

  test('one that only waited for the others is read again when these are mended', async () => {
    const first = await prepare(files);
    const { dependencies } = pathNamed(first, 'devices/z-slow');
    expect(dependencies).toContain('devices/w000');
    const mended = { ...slow, ...nested((name) => ({ ...wild(name), [`${name}/app.json`]: '{"name":"aaa"}' }), 10) };
    const previous = { commit: first.commit.oid, dependencies };
    const queries = {
      dependents: () => Promise.resolve(['devices/z-slow']),
      devicesOf: () => Promise.resolve(new Map()),
      adaptersOf: () => Promise.resolve(new Map()),
    };
    const second = await prepare(mended, previous, { queries });
    expect(second.extent).toBe('incremental');
    expect(pathNamed(second, 'devices/z-slow').verdict).toBe('valid');
    const gone = await prepare({ ...slow, 'devices/z-plain/app.json': '{"vlan":1}' }, previous, { queries });
    expect(rulesOf(gone)).toEqual([['devices/z-slow', 'valid']]);
  });
});

test('schemas that take long to be compiled, and manifests that take long to be read, spend the same time', async () => {
  const doubling: Record<string, unknown> = { d: { anyOf: [{ type: 'object' }] } };
  for (let n = 0; n < 4_000; n++) doubling[`d${n}`] = { $ref: '#/$defs/d', minimum: 'x' };
  const large = `# ${'x'.repeat(20_000)}\n`;
  const heavy = (name: string): Files => ({
    [`${name}/app.json`]: '{}',
    [`${name}/s.json`]: JSON.stringify({ $defs: doubling }),
    [`${name}/bellwether.yaml`]: MANIFEST + large,
  });
  const revision = await prepare(nested(heavy, 60), null, { limits: { ...limits, maxValidationMs: 20, maxCommitValidationMs: 100 } });
  const rules = rulesOf(revision).map(([, rule]) => rule);
  expect(new Set(rules.slice(40))).toEqual(new Set(['maxCommitValidationMs']));
});

test('the limit of whoever waits for the commit bounds the time of its folders', async () => {
  const revision = await prepare(
    nested((name) => wild(name), 40),
    null,
    { limits: defaultRevisionLimits, limitMs: 1_200 },
  );
  expect(rulesOf(revision).at(-1)).toEqual(['devices/w039', 'maxCommitValidationMs']);
});

test('a slice is the share of the rest, a folder that comes near its limit spends too, and a quick step needs nothing', () => {
  const budget = new Budget({ ...limits, maxValidationMs: 200, maxCommitValidationMs: 300 });
  expect(budget.sliceMs()).toBe(100);
  budget.spend('devices/a', 150);
  budget.spend('devices/b', 1);
  expect(budget.sliceMs()).toBeCloseTo(149 / 3);
  expect(budget.spenders()).toEqual(['devices/a']);
  const meter = new Meter(budget, 'devices/c');
  meter.run(false, ({ msLeft }) => burn(0.6 * msLeft));
  expect(budget.spenders()).toEqual(['devices/a', 'devices/c']);
  budget.spend('devices/d', 149);
  expect(budget.sliceMs()).toBe(0);
  expect(() => meter.run(false, () => 7)).toThrow(TookTooLong);
  expect(meter.error('f.json', 'be validated').message).toContain('used up by devices/a, devices/d');
  expect(meter.run(true, () => 7)).toBe(7);
});

function burn(ms: number): void {
  const started = threadCpuMs();
  while (threadCpuMs() - started < ms);
}
