import { type EventType, kindOf } from '../wire/event/events.ts';
import { SEVERITIES, type Severity } from '../wire/event/kind.ts';

export function severityOf({ type, data }: { type: EventType; data: Record<string, unknown> }): Severity {
  const rule = kindOf(type).severity;
  if (typeof rule === 'string') return rule;
  const value = String(data[rule.field]);
  return (Object.hasOwn(rule.raised, value) ? rule.raised[value] : undefined) ?? rule.otherwise;
}

/** Events of `type`; where `field` is not null only those whose data has the text `value` there. */
export type Selector = { type: EventType; field: string | null; value: string | null };

/** What selects exactly the events of `type` that are at least `minimum`. */
export function selectorsOf(type: EventType, minimum: Severity): Selector[] {
  const rule = kindOf(type).severity;
  const enough = (severity: Severity) => SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(minimum);
  if (enough(typeof rule === 'string' ? rule : rule.otherwise)) return [{ type, field: null, value: null }];
  if (typeof rule === 'string') return [];
  return Object.entries(rule.raised)
    .filter(([, severity]) => severity !== undefined && enough(severity))
    .map(([value]) => ({ type, field: rule.field, value }));
}
