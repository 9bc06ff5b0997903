import { z } from 'zod';
import type { NewEvent } from '../../src/event/event.ts';
import { EVENT_TYPES, type EventType, kindOf } from '../../src/wire/event/events.ts';

const STRICT = new Map(EVENT_TYPES.map((type) => [type, kindOf(type).data.strict()]));

/** The fault of an event by the table of events; undefined: none. It checks the data in their published form. */
export function misfitOf({ type, subject, data }: Pick<NewEvent, 'type' | 'subject' | 'data'>): string | undefined {
  const checked = STRICT.get(type)?.safeParse(JSON.parse(JSON.stringify(data)));
  if (checked === undefined) return `no event type is "${type}"`;
  return checked.error && `event ${type} of ${subject} does not fit its type: ${z.prettifyError(checked.error)}`;
}

/** Data that fit an event's type, overridden by `over`. `minimal`: without optional fields, and with null where it is allowed. */
export function sampleOf(type: EventType, size: 'minimal' | 'full', over: Record<string, unknown> = {}): Record<string, unknown> {
  const sample = SAMPLES.get(`${type} ${size}`) ?? sampleObject(Schema.parse(z.toJSONSchema(kindOf(type).data)), size === 'full');
  SAMPLES.set(`${type} ${size}`, sample);
  return { ...sample, ...over };
}

/** Made once: some tests store thousands of events. */
const SAMPLES = new Map<string, Record<string, unknown>>();

/** An event with the data that a test needs. The rest is a minimal sample. */
export function eventWith(event: { organizationId: string; type: EventType; subject: string; data?: Record<string, unknown> }): NewEvent {
  // Tests choose types at run time. The check at the store reports data that do not fit.
  return { ...event, data: sampleOf(event.type, 'minimal', event.data) } as NewEvent;
}

const Schema = z.object({
  type: z.union([z.string().transform((type) => [type]), z.array(z.string())]).default([]),
  format: z.string().optional(),
  enum: z.array(z.unknown()).optional(),
  required: z.array(z.string()).default([]),
  get properties() {
    return z.record(z.string(), Schema).default({});
  },
  get items() {
    return Schema.optional();
  },
  get anyOf() {
    return z.array(Schema).optional();
  },
});
type Schema = z.output<typeof Schema>;

const TEXTS: Readonly<Record<string, string>> = { uuid: '01890000-0000-7000-8000-000000000000', 'date-time': '2026-03-01T12:00:00.000Z' };

function sampleObject({ properties, required }: Schema, isFull: boolean): Record<string, unknown> {
  const wanted = Object.entries(properties).filter(([name]) => isFull || required.includes(name));
  return Object.fromEntries(wanted.map(([name, field]) => [name, sampleValue(field, isFull)]));
}

function sampleValue(schema: Schema, isFull: boolean): unknown {
  const { type, format, enum: values, items, anyOf } = schema;
  if (anyOf !== undefined) {
    const choice = anyOf.find((each) => each.type.includes('null') !== isFull);
    return sampleValue(choice ?? anyOf[0] ?? schema, isFull);
  }
  const isNull = (value: unknown) => value === null || value === 'null';
  if (values !== undefined) return values.find((value) => isNull(value) !== isFull) ?? values[0];
  switch (type.find((each) => isNull(each) !== isFull) ?? type[0]) {
    case 'object':
      return sampleObject(schema, isFull);
    case 'array':
      return isFull && items !== undefined ? [sampleValue(items, true)] : [];
    case 'integer':
    case 'number':
      return 3;
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return TEXTS[format ?? ''] ?? 'text';
  }
}
