import { z } from 'zod';
import { EVENT_TYPES, type EventType, kindOf } from '../../src/wire/event/events.ts';
import type { SeverityRule } from '../../src/wire/event/kind.ts';

const INTRO = `# Events

<!-- Generated from src/wire/event. Change it there, then run: npx vitest run test/event/page.test.ts -u -->

The service stores an event for every fact that changes. \`GET /api/v1/events\`, live connections and notifications publish it as
\`{cursor, type, at, organizationId, subject, data}\`. \`subject\` is \`<noun>:<id>\`. The OpenAPI description has a schema per type.

The sentence follows the name of the subject. \`{field}\` stands for a field of the data. A field with \`?\` may be missing.
Later versions may add types and fields: ignore those that you do not know.
`;

/** `docs/events.md`: every type of event, by the noun that it begins with. */
export function eventsPage(): string {
  const sections = [...Map.groupBy(EVENT_TYPES, (type) => type.slice(0, type.indexOf('.')))].map(([noun, types]) =>
    [`## \`${noun}\``, '', '| type | severity | sentence | data |', '|---|---|---|---|', ...types.map(rowOf), ''].join('\n'),
  );
  return [INTRO, ...sections, valuesSection()].join('\n');
}

function rowOf(type: EventType): string {
  const { severity, sentence, data } = kindOf(type);
  const { properties = {}, required = [] } = z.toJSONSchema(data);
  const fields = Object.entries(properties).map(([name, field]) => `\`${name}${required.includes(name) ? '' : '?'}\` ${wordsOf(field)}`);
  return `| \`${type}\` | ${severityWords(severity)} | ${sentence} | ${fields.join('<br>')} |`;
}

function severityWords(rule: SeverityRule): string {
  if (typeof rule === 'string') return rule;
  const raised = Object.entries(rule.raised).map(([value, severity]) => `${severity} if \`${rule.field}\` is \`${value}\``);
  return [rule.otherwise, ...raised].join('<br>');
}

type Field = z.core.JSONSchema.JSONSchema | boolean;

/** Values that many types share are listed once, by the name of the first field that has them. */
const MANY = 3;
const SHARED = sharedValues();

function sharedValues(): ReadonlyMap<string, string> {
  const users = new Map<string, string[]>();
  for (const type of EVENT_TYPES) {
    for (const [name, field] of Object.entries(z.toJSONSchema(kindOf(type).data).properties ?? {})) {
      const key = typeof field === 'boolean' || field.enum === undefined ? undefined : codes(field.enum);
      if (key !== undefined) users.set(key, [...(users.get(key) ?? []), name]);
    }
  }
  return new Map([...users].flatMap(([key, [name, ...others]]) => (name !== undefined && others.length >= MANY ? [[key, name]] : [])));
}

function valuesSection(): string {
  const rows = [...SHARED].map(([values, name]) => `- \`${name}\`: ${values}`);
  return ['## Values', '', ...rows, ''].join('\n');
}

function codes(values: readonly unknown[]): string {
  return values.map((value) => `\`${value}\``).join(', ');
}

function wordsOf(field: Field): string {
  if (typeof field === 'boolean') return 'anything';
  const { type, format, enum: values, anyOf, items, properties } = field;
  if (anyOf !== undefined) return anyOf.map(wordsOf).join(' or ');
  if (values !== undefined) return SHARED.has(codes(values)) ? `[${SHARED.get(codes(values))}](#values)` : codes(values);
  if (Array.isArray(type)) return type.map((each) => wordsOf({ ...field, type: each } as Field)).join(' or ');
  if (type === 'array') return `list of ${wordsOf(items as Field)}`;
  if (type === 'object') return `{ ${fieldsOf(properties).join('; ')} }`;
  return WORDS.get(format ?? '') ?? WORDS.get(type ?? '') ?? type ?? 'anything';
}

function fieldsOf(properties: Readonly<Record<string, Field>> = {}): string[] {
  return Object.entries(properties).map(([name, field]) => `\`${name}\` ${wordsOf(field)}`);
}

const WORDS: ReadonlyMap<string, string> = new Map([
  ['uuid', 'id'],
  ['date-time', 'time'],
  ['string', 'text'],
  ['integer', 'number'],
]);
