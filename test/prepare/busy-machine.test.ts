import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { TookTooLong, threadCpuMs, withinCpuTime } from '../../src/prepare/meter/cpu-limit.ts';
import { prepareRevision } from '../../src/prepare/prepare.ts';
import { defaultRevisionLimits } from '../../src/revision/limits.ts';
import { LAYERS } from '../revision/layered.ts';
import { type Files, MemorySource } from '../revision/memory-source.ts';

/** So many threads for each processor leave this thread a fifth of one. */
const BURNERS = 4 * availableParallelism();
const BURN =
  'const { workerData: gate } = require("node:worker_threads"); for (;;) { Atomics.wait(gate, 0, 0); while (Atomics.load(gate, 0) === 1); }';
const gate = new Int32Array(new SharedArrayBuffer(4));
let burners: Worker[];

beforeAll(async () => {
  burners = Array.from({ length: BURNERS }, () => new Worker(BURN, { eval: true, workerData: gate }));
  await Promise.all(burners.map((burner) => once(burner, 'online')));
});
afterAll(() => Promise.all(burners.map((burner) => burner.terminate())));
afterEach(() => {
  Atomics.store(gate, 0, 0);
});

function burnProcessors(): void {
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
}

function timesOf(work: () => unknown): { cpuMs: number; wallMs: number } {
  const [cpu, wall] = [threadCpuMs(), performance.now()];
  work();
  return { cpuMs: threadCpuMs() - cpu, wallMs: performance.now() - wall };
}

/** The engine tries 2^letters ways, and the look-ahead keeps the pattern from an engine of linear time. */
const backtrack = (letters: number) => /^(?=a)(a+)+$/.test(`${'a'.repeat(letters)}!`);
const HONEST_LETTERS = 22;

describe('while other threads burn the processors', () => {
  test('work within its processor time ends with its result, however long that takes', () => {
    backtrack(HONEST_LETTERS);
    const calm = timesOf(() => backtrack(HONEST_LETTERS));
    const limitMs = 2 * calm.cpuMs;
    burnProcessors();
    const repeated: number[] = [];
    const busy = timesOf(() =>
      expect(
        withinCpuTime(
          limitMs,
          () => backtrack(HONEST_LETTERS),
          (ms) => repeated.push(ms),
        ),
      ).toBe(false),
    );
    // By the wall clock it would have been refused.
    expect(busy.wallMs).toBeGreaterThan(limitMs);
    for (const ms of repeated) expect(ms).toBeLessThanOrEqual(limitMs);
  });

  test('work without end is stopped', () => {
    burnProcessors();
    expect(() => withinCpuTime(30, () => backtrack(60))).toThrow(TookTooLong);
  });

  test('a commit gets the same verdicts as on a calm machine', async () => {
    const manifest = 'apiVersion: bellwether/v1\nkind: DeviceConfig\nvalidate:\n  - { files: app.json, schema: s.json }\n';
    const folder = (name: string, letters: number): Files => ({
      [`devices/${name}/bellwether.yaml`]: manifest,
      [`devices/${name}/s.json`]: JSON.stringify({ properties: { name: { not: { pattern: '^(?=a)(a+)+$' } } } }),
      [`devices/${name}/app.json`]: JSON.stringify({ name: `${'a'.repeat(letters)}!` }),
    });
    const source = new MemorySource();
    const files = {
      'fleet.yaml': `${LAYERS}templates: ["**/*.liquid"]\n`,
      'base/motd.liquid': '{% for i in (1..2000) %}{{ i | times: 7 | modulo: 3 }}{% endfor %}',
      'labels/pos/x': '',
      'labels/express/x': '',
      ...folder('honest', HONEST_LETTERS),
      ...folder('wild', 60),
    };
    const commit = source.commit(files);
    const prepare = (maxValidationMs: number) => {
      const limits = { ...defaultRevisionLimits, maxValidationMs, maxCommitValidationMs: 20 * maxValidationMs };
      return prepareRevision(source, { commit, layout: 'fleet', previous: null, limits });
    };
    await prepare(50);
    const { cpuMs } = timesOf(() => backtrack(HONEST_LETTERS));
    const limitMs = 4 * cpuMs + 100;
    const calm = await prepare(limitMs);
    expect(calm.paths.map(({ path, errors }) => [path, errors.map(({ rule }) => rule)])).toEqual([
      ['devices/honest', []],
      ['devices/wild', ['maxValidationMs']],
    ]);
    burnProcessors();
    const busy = await prepare(limitMs);
    expect(busy.paths).toEqual(calm.paths);
  });
});
