/** What a simulated device measures of itself. */
export const METRICS = ['cpu', 'memory', 'error_rate'] as const;
export type Metric = (typeof METRICS)[number];

/** All in percent: of the processor, of the memory, of what the device was asked to do. */
export type Sample = Record<Metric, number>;

/** Where a device's metrics are: what they would be by themselves, and how many samples long one has climbed besides. */
export type Walk = { calm: Sample; climbs: number };

type Course = {
  /** Where it stays about. */
  rest: number;
  /** The most that it moves between two samples. */
  step: number;
  /** By how much every sample of a drift lies above the one before. */
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

export const STILL: Walk = { calm: { cpu: COURSES.cpu.rest, memory: COURSES.memory.rest, error_rate: COURSES.error_rate.rest }, climbs: 0 };

/**
 * The next step of a random walk about each metric's rest. While one drifts it climbs besides; when that ends it is at once where it would have been. Pure.
 * @param draw a number from 0 to below 1 for each metric
 */
export function nextWalk({ calm, climbs }: Walk, isDrifting: boolean, draw: (metric: Metric) => number): Walk {
  const next = (metric: Metric): number => {
    const { rest, step } = COURSES[metric];
    return calm[metric] + step * (2 * draw(metric) - 1) + PULL * (rest - calm[metric]);
  };
  return { calm: { cpu: next('cpu'), memory: next('memory'), error_rate: next('error_rate') }, climbs: isDrifting ? climbs + 1 : 0 };
}

/** What is measured then: of the metric that drifts more than of a calm one, up to 100. Pure. */
export function sampleOf({ calm, climbs }: Walk, drifting: Metric): Sample {
  const measured = (metric: Metric): number => {
    const value = calm[metric] + (metric === drifting ? climbs * COURSES[metric].climb : 0);
    return Math.round(Math.min(MAX, Math.max(0, value)) * 1000) / 1000;
  };
  return { cpu: measured('cpu'), memory: measured('memory'), error_rate: measured('error_rate') };
}
