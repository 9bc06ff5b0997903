import { type EventType, kindOf } from '../wire/event/events.ts';
import { SEVERITIES, type Severity } from '../wire/event/kind.ts';
import { severityBy } from '../wire/event/severity.ts';

export function severityOf({ type, data }: { type: EventType; data: Record<string, unknown> }): Severity {
  return severityBy(kindOf(type).severity, data);
}

/** Selects events of `type`. If `field` is not null, only those whose data has the text `value` in that field. */
export type Selector = { type: EventType; field: string | null; value: string | null };

/** Returns selectors for exactly the events of `type` whose severity is at least `minimum`. */
export function selectorsOf(type: EventType, minimum: Severity): Selector[] {
  const rule = kindOf(type).severity;
  const enough = (severity: Severity) => SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(minimum);
  if (enough(typeof rule === 'string' ? rule : rule.otherwise)) return [{ type, field: null, value: null }];
  if (typeof rule === 'string') return [];
  return Object.entries(rule.raised)
    .filter(([, severity]) => severity !== undefined && enough(severity))
    .map(([value]) => ({ type, field: rule.field, value }));
}
