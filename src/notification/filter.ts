import { invalid } from '../errors.ts';
import { type Selector, selectorsOf } from '../event/severity.ts';
import { EVENT_TYPES, type EventType } from '../wire/event/events.ts';
import type { Severity } from '../wire/event/kind.ts';

/** Selects the events of a notification. A field that is null or empty selects all. */
export type Filter = {
  /** Types, by name (`rollout.aborted`), by group (`rollout.*`), or all (`*`). */
  events: readonly string[];
  minimumSeverity: Severity;
  /** Events of this source, of its rollouts, and of devices that are bound to it when the event is processed. */
  sourceId: string | null;
  /** Only events of devices that belong to this site when the event is processed. */
  siteId: string | null;
  /** Only events of devices that have all of these labels when the event is processed. */
  labels: Readonly<Record<string, string>>;
};

/** Returns selectors for the events that match the filter's types and severity. */
export function selectorsFor({ events, minimumSeverity }: Pick<Filter, 'events' | 'minimumSeverity'>): Selector[] {
  return EVENT_TYPES.filter((type) => events.some((pattern) => matches(pattern, type))).flatMap((type) =>
    selectorsOf(type, minimumSeverity),
  );
}

/** @throws Problem `invalid_request` for a pattern that names no type, and for a filter that matches nothing */
export function checkEvents(filter: Pick<Filter, 'events' | 'minimumSeverity'>): void {
  const unknown = filter.events.flatMap((pattern, index) =>
    EVENT_TYPES.some((type) => matches(pattern, type)) ? [] : [{ pointer: `/events/${index}`, detail: `no event type is "${pattern}"` }],
  );
  if (unknown.length > 0) throw invalid(`Cannot subscribe: ${unknown.map(({ detail }) => detail).join('; ')}`, unknown);
  if (selectorsFor(filter).length > 0) return;
  const detail = `must be lower: no event of ${filter.events.join(', ')} is ever "${filter.minimumSeverity}"`;
  throw invalid(`Cannot subscribe: minimumSeverity ${detail}`, [{ pointer: '/minimumSeverity', detail }]);
}

function matches(pattern: string, type: EventType): boolean {
  return pattern === '*' || pattern === type || (pattern.endsWith('.*') && type.startsWith(pattern.slice(0, -1)));
}
