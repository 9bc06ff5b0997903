import { z } from 'zod';

/** Sent to the process that polls. */
export const LoadOrder = z.object({
  url: z.string(),
  polls: z.array(z.object({ id: z.string(), apiKey: z.string(), etag: z.string() })).min(1),
  connections: z.number().int().positive(),
  seconds: z.number().positive(),
});
export type LoadOrder = z.infer<typeof LoadOrder>;

/** Sent by that process, once per order. `others`: answers that were not 304. */
export const LoadDone = z.object({ seconds: z.number(), unchanged: z.number(), others: z.number() });
export type LoadDone = z.infer<typeof LoadDone>;
