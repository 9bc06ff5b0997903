import type { Severity, SeverityRule } from './kind.ts';

/** Applies a type's rule to the data of one event. */
export function severityBy(rule: SeverityRule, data: Record<string, unknown>): Severity {
  if (typeof rule === 'string') return rule;
  const value = String(data[rule.field]);
  return (Object.hasOwn(rule.raised, value) ? rule.raised[value] : undefined) ?? rule.otherwise;
}
