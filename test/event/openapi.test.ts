import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EVENT_TYPES, kindOf } from '../../src/wire/event/events.ts';
import { sampleOf } from '../support/events.ts';
import { readOpenApi, type Schema } from '../support/openapi.ts';
import { openService, type TestService } from '../support/service.ts';

let service: TestService;
let schemas: Readonly<Record<string, Schema>>;
let eventSchema: Schema;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
  schemas = (await readOpenApi(service.url)).components.schemas;
  eventSchema = schemas.Event ?? {};
});
afterAll(() => service.close());

const componentOf = (ref: string | undefined) => schemas[ref?.replace('#/components/schemas/', '') ?? ''];
const eventOf = (type: string, data: Record<string, unknown>) => ({
  cursor: 1,
  type,
  at: '2026-03-01T12:00:00.000Z',
  organizationId: 'o',
  subject: 'device:d',
  data,
});

test('the description has one schema per type, which clients choose by the type', () => {
  const { propertyName, mapping } = eventSchema.discriminator as { propertyName: string; mapping: Record<string, string> };
  expect(propertyName).toBe('type');
  expect(Object.keys(mapping)).toEqual(EVENT_TYPES);
  expect(eventSchema.oneOf?.map(({ $ref }) => $ref)).toEqual(Object.values(mapping));
  expect(new Set(Object.values(mapping)).size).toBe(EVENT_TYPES.length);
});

test.each(EVENT_TYPES)('%s is described as the table has it', (type) => {
  const { mapping } = eventSchema.discriminator as { mapping: Record<string, string> };
  const component = componentOf(mapping[type]);
  const { data, severity, sentence } = kindOf(type);
  expect(component).toMatchObject({ description: `"${sentence}"`, 'x-severity': severity });
  const described = component?.properties?.data;
  expect(Object.keys(described?.properties ?? {})).toEqual(Object.keys(data.shape));
  const required = Object.entries(data.shape).filter(([, field]) => !field.safeParse(undefined).success);
  expect(described?.required ?? []).toEqual(required.map(([name]) => name));
});

test('the description takes samples of every type, and refuses data of another type', () => {
  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  const isEvent = ajv.compile({ $ref: '#/components/schemas/Event', components: { schemas } });
  for (const type of EVENT_TYPES) {
    for (const size of ['minimal', 'full'] as const) {
      isEvent(eventOf(type, sampleOf(type, size)));
      expect([type, size, isEvent.errors]).toEqual([type, size, null]);
    }
  }
  expect(isEvent(eventOf('rollout.paused', sampleOf('source.synced', 'full')))).toBe(false);
  expect(isEvent(eventOf('device.exploded', {}))).toBe(false);
});
