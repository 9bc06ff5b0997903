import { expect, test } from 'vitest';
import { type Selector, selectorsOf, severityOf } from '../../src/event/severity.ts';
import { checkEvents, selectorsFor } from '../../src/notification/filter.ts';
import { EVENT_TYPES } from '../../src/wire/event/events.ts';
import { SEVERITIES } from '../../src/wire/event/kind.ts';

/** Values of a field that determines the severity, and one without effect. */
const VALUES = [
  'OFFLINE',
  'ERROR',
  'failing',
  'empty',
  'invalid',
  'failed',
  'timed_out',
  'rolled_back',
  'expired',
  'succeeded',
  'constructor',
];

const selects = (selectors: readonly Selector[], type: string, data: Record<string, unknown>) =>
  selectors.some((selector) => selector.type === type && (selector.field === null || data[selector.field] === selector.value));

test('the database’s selectors agree with the severity for every type, minimum and value', () => {
  for (const type of EVENT_TYPES) {
    for (const minimum of SEVERITIES) {
      for (const value of VALUES) {
        const data = { status: value, state: value, verdict: value };
        const enough = SEVERITIES.indexOf(severityOf({ type, data })) >= SEVERITIES.indexOf(minimum);
        expect([type, minimum, value, selects(selectorsOf(type, minimum), type, data)]).toEqual([type, minimum, value, enough]);
      }
    }
  }
});

test('failures are errors, events that need attention are warnings, the rest is information', () => {
  expect(severityOf({ type: 'rollout.aborted', data: {} })).toBe('error');
  expect(severityOf({ type: 'rollout.awaiting_approval', data: {} })).toBe('warning');
  expect(severityOf({ type: 'rollout.completed', data: {} })).toBe('info');
  expect(severityOf({ type: 'deployment.state', data: { state: 'failed' } })).toBe('error');
  expect(severityOf({ type: 'deployment.state', data: { state: 'succeeded' } })).toBe('info');
  expect(severityOf({ type: 'device.status', data: { status: 'OFFLINE' } })).toBe('warning');
  expect(severityOf({ type: 'revision.rejected', data: { verdict: 'partial' } })).toBe('warning');
  expect(severityOf({ type: 'revision.rejected', data: { verdict: 'invalid' } })).toBe('error');
});

test('a type matches by its name, by its group, or by "all"', () => {
  const typesOf = (events: string[]) => [...new Set(selectorsFor({ events, minimumSeverity: 'info' }).map(({ type }) => type))];
  expect(typesOf(['*'])).toEqual(EVENT_TYPES);
  expect(typesOf(['rollout.*'])).toEqual(EVENT_TYPES.filter((type) => type.startsWith('rollout.')));
  expect(typesOf(['source.failed', 'revision.rejected', 'revision.*'])).toEqual([
    'source.failed',
    'revision.prepared',
    'revision.rejected',
  ]);
  expect(typesOf(['device.*'])).not.toContain('deployment.state');
});

test('a pattern without a type and a severity that no event reaches are refused', () => {
  const refused = (events: string[], minimumSeverity: (typeof SEVERITIES)[number], pointer: string) =>
    expect(() => checkEvents({ events, minimumSeverity })).toThrow(
      expect.objectContaining({ code: 'invalid_request', errors: [expect.objectContaining({ pointer })] }),
    );
  refused(['rollout.*', 'rollout.exploded'], 'info', '/events/1');
  for (const pattern of ['rollout', 'rollout.', 'roll*', '.*', '**', 'device.*.x', '']) refused([pattern], 'info', '/events/0');
  refused(['hook.received'], 'warning', '/minimumSeverity');
  expect(() => checkEvents({ events: ['*'], minimumSeverity: 'error' })).not.toThrow();
});
