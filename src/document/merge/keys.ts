import { parseDocument } from 'yaml';
import type { ScalarNode } from '../node.ts';

/** Returns whether readers of YAML 1.1 and of 1.2 read both as the same key. `100` and `"100"` are two keys, `16` and `0x10` are one. */
export function isSameKey(one: ScalarNode, other: ScalarNode): boolean {
  if (one.raw === other.raw && one.tag === other.tag) return true;
  return (['1.1', '1.2'] as const).every((version) => readAs(one, version) === readAs(other, version));
}

function readAs({ rawTag, raw, value, style }: ScalarNode, version: '1.1' | '1.2'): string {
  if (style !== 'plain' || (value !== null && value !== raw && typeof value === 'string')) return `${rawTag ?? ''} string ${String(value)}`;
  const schema = version === '1.1' ? 'yaml-1.1' : 'core';
  const read: unknown = parseDocument(raw, { version, schema, logLevel: 'silent' }).toJS();
  return `${rawTag ?? ''} ${typeof read} ${String(read)}`;
}
