/** Metrics of a simulated device. */
export const METRICS = ['cpu', 'memory', 'error_rate'] as const;
export type Metric = (typeof METRICS)[number];

/** Percentages of the processor, of the memory, and of the device's operations. */
export type Sample = Record<Metric, number>;

/** State of a device's metrics: their values without a drift, and the number of samples since a drift began. */
export type Walk = { calm: Sample; climbs: number };

type Course = {
  /** The mean of a calm metric. */
  rest: number;
  /** Largest random change between two samples. */
  step: number;
  /** Increase per sample during a drift. */
  climb: number;
};

const COURSES: Readonly<Record<Metric, Course>> = {
  cpu: { rest: 30, step: 4, climb: 8 },
  memory: { rest: 45, step: 2, climb: 5 },
  error_rate: { rest: 1, step: 0.1, climb: 3 },
};
const MAX = 100;
/** Share of the distance to `rest` by which a metric returns with every sample. A calm metric stays within `step / PULL` of it. */
const PULL = 0.2;

export const STILL: Walk = { calm: { cpu: COURSES.cpu.rest, memory: COURSES.memory.rest, error_rate: COURSES.error_rate.rest }, climbs: 0 };

/**
 * The next step of a random walk around each metric's rest. A drift adds a rise; after its end the metric has its calm value at once. Pure.
 * @param draw a number from 0 to below 1 for each metric
 */
export function nextWalk({ calm, climbs }: Walk, isDrifting: boolean, draw: (metric: Metric) => number): Walk {
  const next = (metric: Metric): number => {
    const { rest, step } = COURSES[metric];
    return calm[metric] + step * (2 * draw(metric) - 1) + PULL * (rest - calm[metric]);
  };
  return { calm: { cpu: next('cpu'), memory: next('memory'), error_rate: next('error_rate') }, climbs: isDrifting ? climbs + 1 : 0 };
}

/** The measured values. The drifting metric is higher than a calm one, up to 100. Pure. */
export function sampleOf({ calm, climbs }: Walk, drifting: Metric): Sample {
  const measured = (metric: Metric): number => {
    const value = calm[metric] + (metric === drifting ? climbs * COURSES[metric].climb : 0);
    return Math.round(Math.min(MAX, Math.max(0, value)) * 1000) / 1000;
  };
  return { cpu: measured('cpu'), memory: measured('memory'), error_rate: measured('error_rate') };
}
