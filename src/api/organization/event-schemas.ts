import { z } from '@hono/zod-openapi';
import type { EventJson } from '../../event/event.ts';
import { EVENT_TYPES, type EventType, kindOf } from '../../wire/event/events.ts';

/** `DeviceStatusEvent`: clients that are generated from the description name their classes after it. */
function nameOf(type: EventType): string {
  const words = type.split(/[._]/).map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return `${words.join('')}Event`;
}

function viewOf(type: EventType) {
  const { data, severity, sentence } = kindOf(type);
  return z
    .object({
      cursor: z.number().int(),
      type: z.literal(type),
      at: z.iso.datetime(),
      organizationId: z.string(),
      subject: z.string(),
      data,
    })
    .openapi(nameOf(type), { description: `"${sentence}"`, 'x-severity': severity });
}

const [first, ...others] = EVENT_TYPES.map(viewOf);
if (first === undefined) throw new Error('the table of events is empty');

/** Stored events may be of an earlier version, so that their data are described but not promised to the compiler. */
export const EventView: z.ZodType<EventJson> = z.discriminatedUnion('type', [first, ...others]).openapi('Event');
