import { isRecord } from '../../document/document.ts';

/** The drafts of JSON Schema, the oldest first. */
export const DRAFTS = ['draft-04', 'draft-06', 'draft-07', '2019-09', '2020-12'] as const;
export type Draft = (typeof DRAFTS)[number];

/** The draft of a schema without `$schema` that no other schema refers to. */
export const DEFAULT_DRAFT: Draft = '2020-12';

export function isAtLeast(draft: Draft, first: Draft): boolean {
  return DRAFTS.indexOf(draft) >= DRAFTS.indexOf(first);
}

/** The draft that `$schema` names, with http or https and with or without the empty fragment; null for anything else. */
export function draftNamed(uri: string): Draft | null {
  const [, name] = /^https?:\/\/json-schema\.org\/(draft-0[467]|draft\/2019-09|draft\/2020-12)\/schema#?$/.exec(uri) ?? [];
  return DRAFTS.find((draft) => name === draft || name === `draft/${draft}`) ?? null;
}

export function draftUri(draft: Draft): string {
  return draft.startsWith('draft') ? `http://json-schema.org/${draft}/schema` : `https://json-schema.org/draft/${draft}/schema`;
}

/** How a keyword holds schemas: itself, as a list, or under names that the author chose. */
type Holding = 'schema' | 'list' | 'names';
type KeywordRow = { holds: Holding[]; from?: Draft; to?: Draft };

/** Keywords that hold schemas, or that not every draft has. */
const KEYWORDS: Readonly<Record<string, KeywordRow>> = {
  const: { holds: [], from: 'draft-06' },
  dependentRequired: { holds: [], from: '2019-09' },
  properties: { holds: ['names'] },
  patternProperties: { holds: ['names'] },
  additionalProperties: { holds: ['schema'] },
  definitions: { holds: ['names'] },
  $defs: { holds: ['names'], from: '2019-09' },
  dependencies: { holds: ['names'], to: 'draft-07' },
  dependentSchemas: { holds: ['names'], from: '2019-09' },
  items: { holds: ['schema', 'list'] },
  additionalItems: { holds: ['schema'], to: '2019-09' },
  prefixItems: { holds: ['list'], from: '2020-12' },
  contains: { holds: ['schema'], from: 'draft-06' },
  propertyNames: { holds: ['schema'], from: 'draft-06' },
  allOf: { holds: ['list'] },
  anyOf: { holds: ['list'] },
  oneOf: { holds: ['list'] },
  not: { holds: ['schema'] },
  if: { holds: ['schema'], from: 'draft-07' },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: { holds: ['schema'], from: 'draft-07' },
  else: { holds: ['schema'], from: 'draft-07' },
  unevaluatedItems: { holds: ['schema'], from: '2019-09' },
  unevaluatedProperties: { holds: ['schema'], from: '2019-09' },
  contentSchema: { holds: ['schema'], from: '2019-09' },
};

/** Whether a draft has the keyword; a name that is not in the table stands in all of them. */
export function isKeywordOf(draft: Draft, keyword: string): boolean {
  const row = rowOf(keyword);
  return isAtLeast(draft, row?.from ?? 'draft-04') && isAtLeast(row?.to ?? '2020-12', draft);
}

function rowOf(keyword: string): KeywordRow | undefined {
  return Object.hasOwn(KEYWORDS, keyword) ? KEYWORDS[keyword] : undefined;
}

/** Paths, within a schema object, of the schemas that it holds directly. */
export function heldSchemas(schema: Readonly<Record<string, unknown>>, draft: Draft): string[][] {
  return Object.entries(schema).flatMap(([keyword, value]) => {
    const { holds } = rowOf(keyword) ?? { holds: [] };
    if (!isKeywordOf(draft, keyword)) return [];
    if (Array.isArray(value)) return holds.includes('list') ? value.map((_, index) => [keyword, String(index)]) : [];
    if (holds.includes('names')) return isRecord(value) ? namesOfSchemas(value).map((name) => [keyword, name]) : [];
    return holds.includes('schema') ? [[keyword]] : [];
  });
}

/** Under a name of `dependencies`, a list of names may stand instead of a schema. */
function namesOfSchemas(value: Record<string, unknown>): string[] {
  return Object.keys(value).filter((name) => !Array.isArray(value[name]));
}

/** The keyword that names a schema. */
export function idKeyword(draft: Draft): '$id' | 'id' {
  return draft === 'draft-04' ? 'id' : '$id';
}

/** Up to draft-07, an object with `$ref` is a reference and nothing else: its other keywords are ignored. */
export function isPlainReference(schema: Readonly<Record<string, unknown>>, draft: Draft): boolean {
  return !isAtLeast(draft, '2019-09') && typeof schema.$ref === 'string';
}

export type ReferenceKeyword = '$ref' | '$dynamicRef' | '$recursiveRef';

export function referenceKeywords(draft: Draft): readonly ReferenceKeyword[] {
  if (draft === '2020-12') return ['$ref', '$dynamicRef'];
  return draft === '2019-09' ? ['$ref', '$recursiveRef'] : ['$ref'];
}
