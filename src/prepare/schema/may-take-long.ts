import { jsonText } from '../../document/exact.ts';

/** Without these keywords the time is that of the schema's size times the value's. */
const SLOW_KEYWORDS = /"(?:pattern|patternProperties|\$ref|\$dynamicRef|\$recursiveRef)":/;
const MAX_QUICK_CHARS = 16 * 1024;

/** Whether schemas need a clock, to be compiled and to be used. @param schemas all that belong together */
export function mayTakeLong(schemas: readonly unknown[]): boolean {
  const text = jsonText(schemas);
  return text.length > MAX_QUICK_CHARS || SLOW_KEYWORDS.test(text);
}
