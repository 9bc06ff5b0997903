import { z } from 'zod';

export const LOADS = {
  fleets: 'four fleets of 60 folders that run out of time',
  hanging: 'ten hanging repositories on the same host',
  hooks: 'a flood of signed hooks with text that cannot be stored',
  tokens: 'wrong tokens at Socket.IO',
} as const;
export type LoadName = keyof typeof LOADS;

/** Sent to the process that loads the service: once to begin, once to end. `hungUrls`: repositories of a host that does not answer. */
export const LoadOrder = z.discriminatedUnion('act', [
  z.object({
    act: z.literal('begin'),
    load: z.enum(['fleets', 'hanging', 'hooks', 'tokens']),
    url: z.string(),
    token: z.string(),
    hungUrls: z.array(z.string()),
  }),
  z.object({ act: z.literal('end') }),
]);
export type LoadOrder = z.infer<typeof LoadOrder>;

/** Sent by that process after each order. */
export const LoadDone = z.object({ done: z.enum(['begin', 'end']) });
