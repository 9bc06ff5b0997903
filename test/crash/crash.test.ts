import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { createVerdicts } from './checks.ts';
import { createRandom } from './random.ts';

const CRASH = fileURLToPath(new URL('./crash.ts', import.meta.url));

/** A few kills in every test run. `node test/crash/crash.ts --kills 200 --faults` runs many more, and every fault point. */
test('kills of the service, its database and the agents lose nothing and leave nothing half done', { timeout: 1_500_000 }, async () => {
  const args = [CRASH, '--kills', '4', '--every', '4', '--points', '1', '--service-points', '1'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 1_450_000 }).catch((error: { stdout: string }) => error);
  const summary = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
  expect(summary, stdout).toMatchObject({ kills: 6, violations: [] });
  expect(summary.devices).toBeGreaterThanOrEqual(6);
  // A run without work could not reach these numbers.
  expect(summary.pushes).toBeGreaterThan(6);
  expect(summary.checks).toBeGreaterThan(60);
  const left = (await readdir(tmpdir())).filter((name) => name.startsWith('bellwether-') && stdout.includes(`/${name}`));
  expect(left).toEqual([]);
});

test('the same seed makes the same choices', () => {
  const choices = (seed: number) => {
    const random = createRandom(seed);
    return Array.from({ length: 20 }, () => random.between(0, 1_000));
  };
  expect(choices(7)).toEqual(choices(7));
  expect(choices(7)).not.toEqual(choices(8));
  expect(choices(7).every((choice) => choice >= 0 && choice <= 1_000)).toBe(true);
});

test('a violation counts as a check and is reported once', () => {
  const { must, violations, count } = createVerdicts();
  must(true, () => 'not this');
  must(false, () => 'this');
  must(false, () => 'this');
  expect(violations).toEqual(['this']);
  expect(count()).toBe(3);
});
