import { z } from '@hono/zod-openapi';
import type { Event } from './event.ts';

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

export function viewEvent(event: Event): z.output<typeof EventView> {
  const { cursor, type, organizationId, subject, data } = event;
  return { cursor, type, at: event.at.toISOString(), organizationId, subject, data };
}
