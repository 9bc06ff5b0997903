import fc from 'fast-check';
import { expect, test } from 'vitest';
import { METRICS, type Metric, nextSample, type Sample } from '../../src/simulate/metrics.ts';

const REST: Sample = { cpu: 30, memory: 45, error_rate: 1 };
/** How far a calm one may be from there. */
const CALM: Sample = { cpu: 20, memory: 10, error_rate: 0.5 };

const draws = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { minLength: 1, maxLength: 200 });

function walk(draws: readonly number[], drifting: Metric | null, from: Sample | null = null): Sample[] {
  const samples: Sample[] = [];
  for (const draw of draws) samples.push(nextSample(samples.at(-1) ?? from, drifting, () => draw));
  return samples;
}

test('a calm metric stays about its rest, whatever is drawn', () => {
  fc.assert(
    fc.property(draws, (drawn) => {
      for (const sample of walk(drawn, null))
        for (const metric of METRICS) expect(Math.abs(sample[metric] - REST[metric])).toBeLessThanOrEqual(CALM[metric] + 0.01);
    }),
  );
});

test('a metric that drifts climbs with every sample to 100 and no further; the others stay calm', () => {
  fc.assert(
    fc.property(draws, fc.constantFrom(...METRICS), (drawn, drifting) => {
      let before = REST[drifting];
      for (const sample of walk(drawn, drifting)) {
        if (before < 100) expect(sample[drifting]).toBeGreaterThan(before);
        expect(sample[drifting]).toBeLessThanOrEqual(100);
        before = sample[drifting];
        for (const metric of METRICS)
          if (metric !== drifting) expect(Math.abs(sample[metric] - REST[metric])).toBeLessThanOrEqual(CALM[metric] + 0.01);
      }
    }),
  );
});

test('a drift takes a metric above all that a calm one can come to: the error rate at once, the others within nine samples', () => {
  fc.assert(
    fc.property(draws, fc.constantFrom(...METRICS), (drawn, drifting) => {
      const samples = walk(Array<number>(9).fill(0), drifting, walk(drawn, null).at(-1));
      expect(samples.at(-1)?.[drifting]).toBeGreaterThan(REST[drifting] + CALM[drifting]);
      if (drifting === 'error_rate') expect(samples[0]?.error_rate).toBeGreaterThan(2 * (REST.error_rate + CALM.error_rate));
    }),
  );
});

test('once the drift ends the metric comes back', () => {
  fc.assert(
    fc.property(draws, fc.constantFrom(...METRICS), (drawn, drifting) => {
      const high = { ...REST, [drifting]: 100 };
      const later = walk([...drawn, ...Array<number>(60).fill(0.5)], null, high).at(-1);
      expect(Math.abs((later?.[drifting] ?? 100) - REST[drifting])).toBeLessThanOrEqual(CALM[drifting] + 0.01);
    }),
  );
});
