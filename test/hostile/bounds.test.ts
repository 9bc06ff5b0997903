import { expect, test } from 'vitest';
import { TookTooLong, withinCpuTime } from '../../src/prepare/meter/cpu-limit.ts';
import { prepareRevision } from '../../src/prepare/prepare.ts';
import { defaultRevisionLimits } from '../../src/revision/limits.ts';
import type { PreparedRevision, PreviousRevision } from '../../src/revision/revision.ts';
import { type Files, MemorySource } from '../revision/memory-source.ts';
import { FLEET } from '../support/hostile.ts';

const source = new MemorySource();

function prepareFleet(files: Files, limits = {}, previous: PreviousRevision = null): Promise<PreparedRevision> {
  const commit = source.commit({ 'fleet.yaml': FLEET, ...files });
  return prepareRevision(source, { commit, layout: 'fleet', previous, limits: { ...defaultRevisionLimits, ...limits } });
}

function told(revision: PreparedRevision): Record<string, string> {
  return Object.fromEntries(revision.paths.map(({ path, verdict, errors }) => [path, errors[0]?.rule ?? verdict]));
}

test('a folder with many files that no device gets ends before it uses up the room of the others', async () => {
  const body = 'validate:\n  - { files: "*.json", schema: s.json }\nfiles:\n  - from: a0.json\n';
  const files: Files = { 'devices/good/a.json': '{}', 'devices/many/s.json': '{}' };
  files['devices/many/bellwether.yaml'] = `apiVersion: bellwether/v1\nkind: DeviceConfig\n${body}`;
  for (let n = 0; n < 40; n++) files[`devices/many/a${n}.json`] = JSON.stringify('x'.repeat(90 + n));
  const revision = await prepareFleet(files, { maxBundleBytes: 200, maxRevisionBytes: 2_000 });
  expect(revision.errors).toEqual([]);
  expect(told(revision)).toEqual({ 'devices/good': 'valid', 'devices/many': 'maxBundleBytes' });
});

test('a device folder whose name comes in another case is refused with its twin, and taken again once that is gone', async () => {
  const one: Files = { 'devices/till/a.json': '{}', 'devices/good/a.json': '{}' };
  const first = await prepareFleet(one);
  expect(told(first)).toEqual({ 'devices/till': 'valid', 'devices/good': 'valid' });
  const second = await prepareFleet({ ...one, 'devices/TILL/a.json': '{}' }, {}, { commit: first.commit.oid, dependencies: [] });
  expect(second.extent).toBe('incremental');
  expect(told(second)).toEqual({ 'devices/till': 'case_duplicate', 'devices/TILL': 'case_duplicate' });
  const third = await prepareFleet(one, {}, { commit: second.commit.oid, dependencies: [] });
  expect(third.removed).toEqual(['devices/TILL']);
  expect(told(third)).toEqual({ 'devices/till': 'valid' });
});

test('withinCpuTime() stops a pattern in its middle, and hands on what its work gives or throws', () => {
  const backtrack = () => /^(a+)+$/.test(`${'a'.repeat(60)}!`);
  expect(() => withinCpuTime(50, backtrack)).toThrow(TookTooLong);
  expect(withinCpuTime(1_000, () => 7)).toBe(7);
  expect(() => withinCpuTime(1_000, () => JSON.parse('{'))).toThrow(SyntaxError);
});
