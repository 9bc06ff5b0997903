import fc from 'fast-check';
import type { Field, Operation } from './description.ts';
import { ADMIN_TOKEN } from './golden.ts';
import { Raw, Ref, replaceAt } from './json.ts';
import { hostile, valid } from './values.ts';

/** A request without the ids of this run. */
export type Request = {
  operation: Operation;
  as: Caller;
  /** By the name of the path's parameter: a number selects an existing id; a text is the percent-encoded value itself. */
  params: Readonly<Record<string, number | string>>;
  query: readonly (readonly [name: string, value: unknown])[];
  headers: Readonly<Record<string, string>>;
  body: Body | undefined;
};

export type Body = {
  type: string | undefined;
  /** A value for JSON, or raw text and bytes. */
  content: { json: unknown } | { bytes: Uint8Array };
  /** Without a length. */
  chunked: boolean;
  /** A webhook that the source's secret signs. */
  signed: boolean;
};

/** `index`: number of the golden device. */
export type Caller =
  | { kind: 'admin' | 'operator' | 'viewer' | 'stranger' | 'revoked' | 'anonymous' | 'garbage' | 'enrolment' }
  | { kind: 'device'; index: number };

/** A request that is valid by the service's description. */
export function validRequest(operation: Operation): fc.Arbitrary<Request> {
  return fc.record({
    operation: fc.constant(operation),
    as: rightful(operation),
    params: fc.record(Object.fromEntries(fieldsIn(operation, 'path').map(({ name }) => [name, fc.nat(9)]))),
    query: queryOf(fieldsIn(operation, 'query')),
    headers: fc.constant({}),
    body: validBody(operation),
  });
}

/** Mostly one fault, sometimes none or several. */
export function anyRequest(operation: Operation): fc.Arbitrary<Request> {
  const sound = validRequest(operation);
  const broken = (change: fc.Arbitrary<Partial<Request>>) => fc.tuple(sound, change).map(([request, part]) => ({ ...request, ...part }));
  const withHeaders = broken(fc.record({ headers: oddHeaders }));
  const others = [
    { weight: 3, arbitrary: sound },
    { weight: 2, arbitrary: withHeaders },
    { weight: 1, arbitrary: broken(fc.record({ as: anybody })) },
  ];
  const [path, query] = [fieldsIn(operation, 'path'), fieldsIn(operation, 'query')];
  if (path.length > 0) others.push({ weight: 2, arbitrary: broken(fc.record({ params: oddParams(path) })) });
  if (query.length > 0) others.push({ weight: 3, arbitrary: broken(fc.record({ query: oddQuery(query) })) });
  if (operation.body.length > 0) others.push({ weight: 6, arbitrary: broken(fc.record({ body: oddBody(operation) })) });
  else others.push({ weight: 1, arbitrary: broken(fc.record({ body: wrongTransport(fc.constant({})) })) });
  return fc.oneof(...others);
}

function fieldsIn(operation: Operation, place: Field['in']): Field[] {
  return operation.fields.filter((field) => field.in === place);
}

function rightful({ credentials }: Operation): fc.Arbitrary<Caller> {
  if (credentials === 'device') return fc.nat(3).map((index) => ({ kind: 'device', index }));
  // The test has no caller that operates the service.
  if (credentials === 'none' || credentials === 'root') return fc.constant({ kind: 'anonymous' });
  return fc.constant({ kind: credentials === 'bearer' ? 'admin' : 'enrolment' });
}

const anybody: fc.Arbitrary<Caller> = fc.oneof(
  fc.constantFrom('operator', 'viewer', 'stranger', 'revoked', 'anonymous', 'garbage', 'enrolment').map((kind): Caller => ({ kind })),
  fc.nat(3).map((index): Caller => ({ kind: 'device', index })),
);

function queryOf(fields: readonly Field[]): fc.Arbitrary<[string, unknown][]> {
  if (fields.length === 0) return fc.constant([]);
  return fc
    .tuple(
      ...fields.map(({ name, schema, required }) => (required ? valid(schema, name) : fc.option(valid(schema, name), { nil: undefined }))),
    )
    .map((values) => values.flatMap((value, at) => pairsOf(fields[at]?.name ?? '', value)));
}

/** A list stands in a query as one parameter for each of its values. */
function pairsOf(name: string, value: unknown): [string, unknown][] {
  if (value === undefined) return [];
  return [value].flat().map((each): [string, unknown] => [name, each]);
}

const oddText = fc.oneof(
  fc.constantFrom(
    '',
    '%',
    '%zz',
    '%00',
    '%0a',
    '%ff%fe',
    '%ED%A0%80',
    '%E2%80%AE',
    '-1',
    '1e309',
    'NaN',
    '[]',
    '__proto__',
    `${'x'.repeat(6_000)}`,
  ),
  fc.string({ maxLength: 12, unit: 'binary' }).map((text) => encodeURIComponent(text.toWellFormed())),
);

function oddQuery(fields: readonly Field[]): fc.Arbitrary<[string, unknown][]> {
  const names = [...fields.map(({ name }) => name), 'unknown', '__proto__', 'limit[]'];
  const odd = fc.tuple(
    fc.constantFrom(...names),
    oddText.map((text) => new Raw(text)),
  );
  return fc.tuple(queryOf(fields), fc.array(odd, { minLength: 1, maxLength: 3 })).map(([good, bad]) => [...good, ...bad]);
}

const oddSegment = fc.oneof(
  fc.constantFrom(
    ...[
      'x',
      '.',
      '..',
      '%2e%2e',
      '%2f',
      'a%2fb',
      '%00',
      'a%00b',
      '%',
      '%zz',
      '%ff%fe',
      '%ED%A0%80',
      '%C3%BC',
      '%E2%80%AE',
      '%20',
      '-1',
      '*',
    ],
    ...['1%20or%201=1', 'pending', '__proto__', 'constructor', '{id}', 'null', '00000000-0000-0000-0000-000000000000', 'x'.repeat(6_000)],
    ...['FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', '01a1fbaf-314b-767f-833a-c99c7743381e', 'a;b', "a'b", 'a%5cb', 'a%3fb', 'f'.repeat(64)],
  ),
  fc.string({ minLength: 1, maxLength: 12, unit: 'binary' }).map((text) => encodeURIComponent(text.toWellFormed())),
);

function oddParams(fields: readonly Field[]): fc.Arbitrary<Record<string, number | string>> {
  const each = fields.map(({ name }): [string, fc.Arbitrary<number | string>] => [name, fc.oneof(fc.nat(9), oddSegment, oddSegment)]);
  return fc.record(Object.fromEntries(each));
}

const oddHeaders: fc.Arbitrary<Record<string, string>> = fc
  .array(
    fc.constantFrom<[string, string]>(
      ...['first', 'second', 'third', 'a b', '\u00e9', 'x'.repeat(200), 'x'.repeat(201), '!~'].map((key): [string, string] => [
        'idempotency-key',
        key,
      ]),
      ...['*', '"1"', 'W/"1"', '"999"', 'garbage', '""', ',,,', '"1", "2"', 'x'.repeat(7_000)].map((tag): [string, string] => [
        'if-match',
        tag,
      ]),
      ...[
        'bytes=0-0',
        'bytes=-1',
        'bytes=5-2',
        'bytes=0-,5-7',
        'bytes=99999999999999999999-',
        'lines=1',
        'bytes=-0',
        'bytes=-',
        'bytes=1-',
      ].map((range): [string, string] => ['range', range]),
      ...['*', '"x"', 'garbage', ''].map((tag): [string, string] => ['if-none-match', tag]),
      ['if-range', '"x"'],
      ['accept', 'text/html'],
      ['accept', '*/*;q=0'],
      ['accept-encoding', 'gzip, br'],
      ['content-encoding', 'gzip'],
      ['origin', 'https://evil.example'],
      ['x-forwarded-for', '\u00e9, 999.999.999.999'],
      ['x-forwarded-host', 'evil.example'],
      ['host', 'evil.example'],
      ['cookie', '__proto__=1; a'],
      ['x-http-method-override', 'DELETE'],
      ['content-type', 'application/json; charset=utf-16'],
      ['content-type', ''],
      ['__proto__', 'x'],
    ),
    { minLength: 1, maxLength: 3 },
  )
  .map((pairs) => Object.fromEntries(pairs));

function contentOf(operation: Operation): fc.Arbitrary<{ type: string; json: unknown }> {
  return fc.oneof(
    ...operation.body.map(({ type, schema }) => {
      const json = type.includes('json') && schema.type !== 'string' ? suiting(operation, valid(schema)) : tables(type);
      return json.map((content) => ({ type, json: content }));
    }),
  );
}

/** Mostly with what the platform of the world takes: the description has no more than the names of its parts. */
function suiting({ path }: Operation, json: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  if (path === '/api/v1/session')
    return fc.oneof({ weight: 4, arbitrary: fc.constant({ token: ADMIN_TOKEN }) }, { weight: 1, arbitrary: json });
  if (path.startsWith('/api/v1/conflicts')) return fc.oneof({ weight: 4, arbitrary: resolution(path) }, { weight: 1, arbitrary: json });
  if (!path.startsWith('/api/v1/integrations')) return json;
  const known = {
    type: 'mobivisor',
    settings: { apiUrl: new Ref('platform', 0) },
    credentials: { token: new Ref('platform', 1) },
    fields: ['name'],
    fieldRules: {},
    direction: 'import',
    externalId: 'an-id',
  };
  const needed = /\/integrations(?:\/test)?$/.test(path)
    ? ['settings', 'credentials']
    : path.endsWith('/assignments')
      ? ['externalId']
      : [];
  const complete = json.map((body) => {
    if (typeof body !== 'object' || body === null) return body;
    const names = new Set([...Object.keys(body), ...needed]);
    return { ...body, ...Object.fromEntries(Object.entries(known).filter(([name]) => names.has(name))) };
  });
  return fc.oneof({ weight: 4, arbitrary: complete }, { weight: 1, arbitrary: json });
}

/** A value is given with the choice "value" alone, which the description cannot say. */
function resolution(path: string): fc.Arbitrary<unknown> {
  const ids = fc.array(
    fc.nat(9).map((index) => new Ref('/api/v1/conflicts', index)),
    { minLength: 1, maxLength: 3 },
  );
  const choice = fc.constantFrom({ choice: 'local' }, { choice: 'remote' }, { choice: 'value', value: 'agreed' });
  return path.endsWith(':resolve') ? fc.record({ ids, choice }).map((one) => ({ ids: one.ids, ...one.choice })) : choice;
}

/** Rows of an import. They are text, because the description has no more detail. */
function tables(type: string): fc.Arbitrary<Raw> {
  const ids = fc.array(fc.stringMatching(/^[a-z0-9]{1,12}$/), { minLength: 1, maxLength: 5 });
  if (type === 'text/csv')
    return ids.map((found) => new Raw(`id,name,label.floor\n${found.map((id) => `${id},"N ""${id}""",2`).join('\r\n')}\n`));
  return ids.map((found) => new Raw(found.map((id) => JSON.stringify({ id, labels: {} })).join('\n')));
}

function validBody(operation: Operation): fc.Arbitrary<Body | undefined> {
  if (operation.body.length === 0) return fc.constant(undefined);
  const signed = operation.path.startsWith('/hooks/');
  if (signed) return webhook.map((json) => ({ type: 'application/json', content: { json }, chunked: false, signed }));
  return contentOf(operation).map(({ type, json }) => ({ type, content: { json }, chunked: false, signed }));
}

const COMMITS = fc.constantFrom(new Ref('commit', 0), 'f'.repeat(40), '0'.repeat(40));
const webhook = fc.record({
  ref: fc.constantFrom('refs/heads/main', 'refs/tags/v1', 'refs/heads/other'),
  before: fc.constant('0'.repeat(40)),
  after: COMMITS,
});

function oddBody(operation: Operation): fc.Arbitrary<Body | undefined> {
  const sound = validBody(operation);
  const changed = fc.tuple(sound, fc.nat(60), hostile).map(([body, pick, instead]) => {
    if (body === undefined || !('json' in body.content)) return body;
    return { ...body, content: { json: replaceAt(body.content.json, pick, instead) } };
  });
  return fc.oneof(
    { weight: 5, arbitrary: changed },
    { weight: 2, arbitrary: wrongTransport(contentOf(operation).map(({ json }) => json)) },
    { weight: 1, arbitrary: fc.constant(undefined) },
  );
}

const TYPES = [
  'application/json',
  'application/json; charset=utf-8',
  'application/merge-patch+json',
  'text/plain',
  'text/csv',
  'application/x-ndjson',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/octet-stream',
  'garbage',
  '\u00e9',
  '',
];

const TEXTS = [
  '',
  ' ',
  '{',
  '{"a":',
  '[',
  'null',
  '"x"',
  '1',
  'true',
  '{}{}',
  '{"a":1,}',
  "{'a':1}",
  '\ufeff{}',
  'a=b',
  '--x--',
  'NaN',
  ',,,\n"',
];

function wrongTransport(json: fc.Arbitrary<unknown>): fc.Arbitrary<Body> {
  const bytes = fc.oneof(
    fc.constantFrom(...TEXTS).map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 40 }),
    fc.constantFrom(1_048_577, 5_000_000).map((length) => Buffer.alloc(length, 0x20)),
  );
  const content = fc.oneof(
    json.map((value) => ({ json: value })),
    bytes.map((found) => ({ bytes: found })),
  );
  return fc.record({
    type: fc.option(fc.constantFrom(...TYPES), { nil: undefined }),
    content,
    chunked: fc.boolean(),
    signed: fc.boolean(),
  });
}
