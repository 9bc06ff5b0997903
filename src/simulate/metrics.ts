/** What a simulated device measures of itself. */
export const METRICS = ['cpu', 'memory', 'error_rate'] as const;
export type Metric = (typeof METRICS)[number];

/** All in percent: of the processor, of the memory, of what the device was asked to do. */
export type Sample = Record<Metric, number>;

type Course = {
  /** Where it stays about. */
  rest: number;
  /** The most that it moves between two samples. */
  step: number;
  /** By how much it moves up with every sample while it drifts, besides. */
  climb: number;
};

const COURSES: Readonly<Record<Metric, Course>> = {
  cpu: { rest: 30, step: 4, climb: 8 },
  memory: { rest: 45, step: 2, climb: 5 },
  error_rate: { rest: 1, step: 0.1, climb: 3 },
};
const MAX = 100;
/** Share of the way back to rest that a metric takes with every sample: a calm one stays within `step / PULL` of it. */
const PULL = 0.2;

/**
 * The next sample of a random walk about each metric's rest; the one that drifts climbs, to 100 in the end. Pure.
 * @param draw a number from 0 to below 1 for each metric
 */
export function nextSample(previous: Sample | null, drifting: Metric | null, draw: (metric: Metric) => number): Sample {
  const next = (metric: Metric): number => {
    const { rest, step, climb } = COURSES[metric];
    const from = previous?.[metric] ?? rest;
    const moved = from + step * (2 * draw(metric) - 1) + (metric === drifting ? climb : PULL * (rest - from));
    return Math.round(Math.min(MAX, Math.max(0, moved)) * 1000) / 1000;
  };
  return { cpu: next('cpu'), memory: next('memory'), error_rate: next('error_rate') };
}
