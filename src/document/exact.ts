import type { Document } from './document.ts';
import type { ScalarNode } from './node.ts';
import { plainValue } from './node.ts';

/** Spellings of numbers that 64-bit floating point may round. */
const LONG_NUMBER = /\d{16}|\d[eE]\+?\d{2}|0[xo][\da-fA-F]{13}/;
const DECIMAL = /^([-+]?\d+)(?:\.(\d*))?(?:[eE]([-+]?\d+))?$/;
const OTHER_BASE = /^0(?:x[\da-fA-F]+|o[0-7]+)$/;
/** A number with more digits exceeds the range of every other reader. */
const MAX_DIGITS = 400;

/** Returns the document's value with exact whole numbers. Integers that JavaScript rounds become `bigint`, as Python and Go read them exactly. */
export function exactValue({ value, text, roots }: Document): unknown {
  if (!LONG_NUMBER.test(text)) return value;
  const values = roots.map((root) => plainValue(root, exactScalar));
  return values.length > 1 ? values : (values[0] ?? null);
}

/** Returns the value of a scalar, or its exact whole number. */
export function exactScalar({ value, raw }: ScalarNode): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value) || raw.length > MAX_DIGITS) return value;
  if (OTHER_BASE.test(raw)) return BigInt(raw);
  const [, whole, fraction = '', power = '0'] = DECIMAL.exec(raw) ?? [];
  if (whole === undefined) return value;
  const digits = BigInt(whole.replace('+', '') + fraction);
  const exponent = Number(power) - fraction.length;
  if (Math.abs(exponent) > MAX_DIGITS) return value;
  const scale = 10n ** BigInt(Math.abs(exponent));
  if (exponent >= 0) return digits * scale;
  return digits % scale === 0n ? digits / scale : value;
}

/** Returns a value as JSON, with all digits of a `bigint`. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, (_name, inner: unknown) => (typeof inner === 'bigint' ? rawJson(String(inner)) : inner)) ?? 'null';
}

/** Calls `JSON.rawJSON`, which the compiler's library does not declare yet. */
export function rawJson(text: string): unknown {
  const make: unknown = Reflect.get(JSON, 'rawJSON');
  return typeof make === 'function' ? make(text) : JSON.parse(text);
}
