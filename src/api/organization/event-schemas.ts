import { z } from '@hono/zod-openapi';

export const EventView = z
  .object({
    cursor: z.number().int(),
    type: z.string(),
    at: z.iso.datetime(),
    organizationId: z.string(),
    subject: z.string(),
    data: z.record(z.string(), z.unknown()),
  })
  .openapi('Event');
