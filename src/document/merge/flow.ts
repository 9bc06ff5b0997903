import type { Syntax } from '../document.ts';
import type { ScalarNode } from '../node.ts';
import type { Meaning } from './meaning.ts';
import { FLOW_INDICATORS } from './meaning.ts';

/** Formats a value on one line, with brackets for a collection. Scalars keep their spelling if it is valid there. */
export function writeFlow(meaning: Meaning, syntax: Syntax): string {
  if (meaning.kind === 'scalar') return writeScalar(meaning.node);
  const tag = meaning.rawTag === null ? '' : `${meaning.rawTag} `;
  if (meaning.kind === 'list') return `${tag}[${meaning.items.map((item) => writeFlow(item, syntax)).join(', ')}]`;
  const members = [...meaning.members.values()].map(({ key, value }) => `${writeKey(key)}: ${writeFlow(value, syntax)}`);
  return `${tag}{${members.join(', ')}}`;
}

export function writeKey(key: ScalarNode): string {
  return key.value === null && key.tag === null ? '~' : writeScalar(key);
}

function writeScalar({ rawTag, raw, value, style }: ScalarNode): string {
  const tag = rawTag === null ? '' : `${rawTag} `;
  if (raw === '') return rawTag ?? 'null';
  const fits = style !== 'block' && !raw.includes('\n') && (style === 'quoted' || !FLOW_INDICATORS.test(raw));
  return `${tag}${fits ? raw : quoted(String(value))}`;
}

/** Characters that YAML 1.1 reads as line breaks, or that its readers refuse. */
const UNREADABLE = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;

/** Quotes a text so that every reader of JSON, YAML 1.1 and 1.2 reads the same text. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(UNREADABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
