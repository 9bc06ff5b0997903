import fc from 'fast-check';
import { expect, test } from 'vitest';
import { METRICS, type Metric, nextWalk, STILL, sampleOf, type Walk } from '../../src/simulate/metrics.ts';

const REST = STILL.calm;
/** How far a calm one may be from there. */
const CALM = { cpu: 20, memory: 10, error_rate: 0.5 };

const draw = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const draws = fc.array(draw, { minLength: 1, maxLength: 200 });
const metric = fc.constantFrom<Metric>(...METRICS);

function walks(draws: readonly number[], isDrifting: boolean, from = STILL): Walk[] {
  const taken: Walk[] = [];
  for (const drawn of draws) taken.push(nextWalk(taken.at(-1) ?? from, isDrifting, () => drawn));
  return taken;
}

function expectCalm(walk: Walk, drifting: Metric, except?: Metric): void {
  for (const name of METRICS)
    if (name !== except) expect(Math.abs(sampleOf(walk, drifting)[name] - REST[name]), name).toBeLessThanOrEqual(CALM[name] + 0.001);
}

test('a calm metric stays about its rest, whatever is drawn', () => {
  fc.assert(
    fc.property(draws, metric, (drawn, drifting) => {
      for (const walk of walks(drawn, false)) expectCalm(walk, drifting);
    }),
  );
});

test('a metric that drifts climbs with every sample, to 100 and no further; the others stay calm', () => {
  fc.assert(
    fc.property(draws, metric, (drawn, drifting) => {
      let before = 0;
      for (const walk of walks(drawn, true)) {
        const seen = sampleOf(walk, drifting)[drifting];
        if (before < 100) expect(seen).toBeGreaterThan(before);
        expect(seen).toBeLessThanOrEqual(100);
        before = seen;
        expectCalm(walk, drifting, drifting);
      }
    }),
  );
});

test('a drift takes a metric above all that a calm one can come to: the error rate at once, the others within six samples', () => {
  fc.assert(
    fc.property(draws, metric, (drawn, drifting) => {
      const samples = walks(Array<number>(6).fill(0), true, walks(drawn, false).at(-1)).map((walk) => sampleOf(walk, drifting)[drifting]);
      expect(samples.at(-1)).toBeGreaterThan(REST[drifting] + CALM[drifting]);
      if (drifting === 'error_rate') expect(samples[0]).toBeGreaterThan(2 * (REST.error_rate + CALM.error_rate));
    }),
  );
});

test('once the drift ends the metric is calm at once', () => {
  fc.assert(
    fc.property(draws, metric, draw, (drawn, drifting, next) => {
      const [after] = walks([next], false, walks(drawn, true).at(-1));
      expectCalm(after ?? STILL, drifting);
    }),
  );
});
