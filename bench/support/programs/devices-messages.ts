import { z } from 'zod';

/** To the process of simulated devices, once. */
export const DevicesOrder = z.object({
  server: z.string(),
  devices: z.array(z.object({ id: z.string(), apiKey: z.string() })),
  failRate: z.number(),
  latencyMs: z.number(),
});
export type DevicesOrder = z.infer<typeof DevicesOrder>;

/** From it, whenever one has changed: attempts whose end the service has taken, since the start. */
export const DevicesTold = z.object({
  ready: z.number(),
  succeeded: z.number(),
  failed: z.number(),
  troubles: z.number(),
  lastTrouble: z.string(),
});
export type DevicesTold = z.infer<typeof DevicesTold>;
