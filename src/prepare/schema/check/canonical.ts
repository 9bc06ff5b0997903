import { isRecord } from '../../../document/document.ts';

/** A text that is equal for values that JSON Schema holds for equal: the order of members does not count. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (!isRecord(value)) return typeof value === 'number' || typeof value === 'bigint' ? String(value) : JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join()}}`;
}
