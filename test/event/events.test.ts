import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { NewEvent } from '../../src/event/event.ts';
import { checkEventsWith } from '../../src/event/store.ts';
import { transact } from '../../src/event/transact.ts';
import { sentenceOf } from '../../src/notification/sentence.ts';
import { EVENT_TYPES, EVENTS, kindOf } from '../../src/wire/event/events.ts';
import { SEVERITIES } from '../../src/wire/event/kind.ts';
import { openTestStore } from '../support/database.ts';
import { misfitOf, sampleOf } from '../support/events.ts';

describe.each(EVENT_TYPES)('%s', (type) => {
  const { severity, sentence, data, shows } = kindOf(type);
  const SUBJECT = { organizationId: 'o', subject: 'device:till-7', cursor: 1, at: new Date(0) };

  test.each(['minimal', 'full'] as const)('a %s sample fits the schema and makes a whole sentence', (size) => {
    const sample = sampleOf(type, size);
    expect(data.strict().safeParse(sample).error).toBeUndefined();
    const said = sentenceOf({ ...SUBJECT, type, data: sample }, 'tills');
    expect(said).toMatch(/^[A-Z].+[^ ]$/);
    expect(said).not.toMatch(/undefined|null|\[object|[{}]/);
  });

  test('its severity is one of the three, or one that values of a field of its data raise', () => {
    if (typeof severity === 'string') return expect(SEVERITIES).toContain(severity);
    expect(SEVERITIES).toContain(severity.otherwise);
    const values = z.toJSONSchema(data).properties?.[severity.field];
    expect(JSON.stringify(values)).toMatch(/"enum":/);
    for (const [value, raised] of Object.entries(severity.raised)) {
      expect(SEVERITIES).toContain(raised);
      expect(JSON.stringify(values)).toContain(`"${value}"`);
    }
  });

  test('its sentence names fields of its data alone, and is no sentence without the subject', () => {
    for (const [, field] of sentence.matchAll(/\{(\w+)\}/g)) expect(Object.keys(data.shape)).toContain(field);
    expect(sentence).toMatch(/^[a-z]/);
    expect(sentence).not.toMatch(/\.$/);
  });

  test('where it shows devices, its subject is a device or its data list them', () => {
    if (shows === 'subject') expect(type).toMatch(/^(device|deployment)\./);
    if (shows === 'deviceIds') expect(Object.keys(data.shape)).toContain('deviceIds');
  });
});

test('data that lack a field, have one too many, or have another value do not fit', () => {
  const held = sampleOf('source.held', 'minimal');
  const misfit = (data: Record<string, unknown>) => misfitOf({ type: 'source.held', subject: 'source:1', data } as NewEvent);
  expect(misfit(held)).toBeUndefined();
  expect(misfit({ ...held, by: undefined })).toContain('event source.held of source:1 does not fit its type');
  expect(misfit({ ...held, until: 'tomorrow' })).toContain('"until"');
  expect(misfit({ ...held, reason: 7 })).toContain('reason');
});

test('the compiler refuses data that do not fit their type', () => {
  const emit = (event: NewEvent) => event;
  const about = { organizationId: 'o', subject: 'device:d' };
  emit({ ...about, type: 'device.changed', data: { fields: ['name'] } });
  // @ts-expect-error: a field is missing
  emit({ ...about, type: 'device.changed', data: {} });
  // @ts-expect-error: no such status
  emit({ ...about, type: 'device.status', data: { status: 'ASLEEP', syncStatus: 'in_sync', connectivity: 'online' } });
  // @ts-expect-error: no such type
  emit({ ...about, type: 'device.exploded', data: {} });
  expect(Object.keys(EVENTS)).not.toContain('device.exploded');
});

test('an event that a check refuses is not stored, nor is what its transaction wrote', async () => {
  const { database, store, organizationId, close } = await openTestStore();
  const before = checkEventsWith(({ type }) => {
    throw new Error(`refused ${type}`);
  });
  try {
    const work = transact(store, async ({ tx, emit }) => {
      await tx`update organizations set name = 'changed' where id = ${organizationId}`;
      emit({ organizationId, type: 'device.changed', subject: 'device:d', data: { fields: [] } });
    });
    await expect(work).rejects.toThrow('refused device.changed');
    expect(await database.sql`select 1 from events`).toEqual([]);
    expect(await database.sql`select 1 from organizations where name = 'changed'`).toEqual([]);
  } finally {
    checkEventsWith(before);
    await close();
  }
});
