import { z } from 'zod';

/** Sent once to the process of simulated devices. */
export const DevicesOrder = z.object({
  server: z.string(),
  devices: z.array(z.object({ id: z.string(), apiKey: z.string() })),
  failRate: z.number(),
  latencyMs: z.number(),
});
export type DevicesOrder = z.infer<typeof DevicesOrder>;

/** Sent by that process after each change: counts of attempts whose end the service accepted, since the start. */
export const DevicesCounts = z.object({
  ready: z.number(),
  succeeded: z.number(),
  failed: z.number(),
  troubles: z.number(),
  lastTrouble: z.string(),
});
export type DevicesCounts = z.infer<typeof DevicesCounts>;
