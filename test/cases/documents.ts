import fc from 'fast-check';
import type { Document, Syntax } from '../../src/document/document.ts';
import { mergeDocuments } from '../../src/document/merge/merge-text.ts';
import { parseText } from '../../src/document/parse.ts';
import { defaultRevisionLimits } from '../../src/revision/limits.ts';

/** Random YAML and JSON texts as people write them: block and flow, comments, quotes, tags, numbers in many spellings. */

export function read(text: string, syntax: Syntax = 'yaml'): Document {
  const parsed = parseText(text, syntax, defaultRevisionLimits);
  if (!parsed.ok) throw new Error(`${parsed.fault.detail} at line ${parsed.fault.line}: ${JSON.stringify(text)}`);
  return parsed.document;
}

export function merged(base: string, patch: string, syntax: Syntax = 'yaml'): string {
  return mergeDocuments(read(base, syntax), read(patch, syntax), syntax, defaultRevisionLimits).text;
}

/** A value in one spelling, on one line. */
const inline = fc.constantFrom(
  ...[
    '0644',
    '1.0',
    '1.10',
    '0x1F',
    '1e3',
    '1e400',
    '-0.0',
    '12345678901234567890',
    'true',
    'True',
    'yes',
    'off',
    'plain text',
    '12:30:00',
  ],
  ...[
    '"yes"',
    "'it''s'",
    '"tab\\there"',
    '"\\u00e9"',
    '!secret x',
    '!!str 12',
    '!include y.yaml',
    '2001-12-14',
    '.inf',
    '"# no comment"',
    '[]',
    '{}',
  ],
);
const jsonInline = fc.constantFrom('1.0', '1e3', '-0.0', '12345678901234567890', 'true', '"x"', '"\\u00e9\\n"', '[]', '{}', '0.10', '""');
const names = ['a', 'b', 'c', 'd', '100', '20', '"q r"', 'yes', '~x'] as const;

export type Tree = {
  comment: string;
  trailing: string;
  value: string | Tree[] | { items: Tree[] };
  name: string;
  layout: 'block' | 'flow' | 'literal';
};

/** `null` only where a patch may have it. */
function trees(scalar: fc.Arbitrary<string>, withNull: boolean): fc.Arbitrary<Tree[]> {
  const leaf = withNull ? fc.oneof({ weight: 5, arbitrary: scalar }, { weight: 1, arbitrary: fc.constantFrom('null', '~') }) : scalar;
  return fc.letrec<{ pairs: Tree[]; value: Tree['value'] }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      leaf,
      tie('pairs'),
      tie('pairs').map((items) => ({ items })),
    ),
    pairs: fc.uniqueArray(
      fc.record<Tree>({
        name: fc.constantFrom(...names),
        value: tie('value'),
        layout: fc.constantFrom('block', 'block', 'flow', 'literal'),
        comment: fc.constantFrom('', '', '# above\n', '\n'),
        trailing: fc.constantFrom('', '', ' # beside'),
      }),
      { minLength: 1, maxLength: 4, selector: ({ name }) => name },
    ),
  })).pairs;
}

export const yamlTree = trees(inline, false);
export const yamlPatch = trees(inline, true);
export const jsonTree = trees(jsonInline, false);
export const jsonPatch = trees(jsonInline, true);

/** @param step columns of each level; 0 puts lists at the column of their key */
export function toYaml(pairs: readonly Tree[], step: number, column = 0): string {
  const space = ' '.repeat(column);
  return pairs
    .map(({ comment, name, value, layout, trailing }) => {
      const above = comment === '' || comment === '\n' ? comment : space + comment;
      if (typeof value === 'string') {
        if (layout === 'literal' && !value.includes('!'))
          return `${above}${space}${name}: |\n${space}  ${value.replaceAll('#', 'no.')}\n${space}   more\n`;
        return `${above}${space}${name}: ${value}${trailing}\n`;
      }
      if (layout === 'flow') return `${above}${space}${name}: ${toFlow(value)}${trailing}\n`;
      if (Array.isArray(value)) return `${above}${space}${name}:${trailing}\n${toYaml(value, step, column + Math.max(step, 1))}`;
      const items = value.items.map(
        (item) => `${space}${' '.repeat(step)}- ${typeof item.value === 'string' ? item.value : toFlow(item.value)}\n`,
      );
      return `${above}${space}${name}:${trailing}\n${items.join('')}`;
    })
    .join('');
}

function toFlow(value: Tree['value']): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return `{${value.map((pair) => `${pair.name}: ${toFlow(pair.value)}`).join(', ')}}`;
  return `[${value.items.map((item) => toFlow(item.value)).join(', ')}]`;
}

export function toJson(value: Tree['value'], isWide: boolean, indent = ''): string {
  if (typeof value === 'string') return value === '~' ? 'null' : value;
  const inner = isWide ? `${indent}  ` : '';
  const lead = isWide ? `\n${inner}` : '';
  const end = isWide ? `\n${indent}` : '';
  if (!Array.isArray(value))
    return `[${lead}${value.items.map((item) => toJson(item.value, isWide, inner)).join(`,${lead || ' '}`)}${end}]`;
  const pairs = value.map((pair) => `"${pair.name.replaceAll('"', '')}"${isWide ? ': ' : ':'}${toJson(pair.value, isWide, inner)}`);
  return `{${lead}${pairs.join(`,${lead}`)}${end}}`;
}
