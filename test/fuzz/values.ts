import fc from 'fast-check';
import { SIGNING_TOKEN } from '../support/hooks.ts';
import type { Schema } from '../support/openapi.ts';
import { Raw, Ref } from './json.ts';

/** Objects of the world that a value may name. */
const INDEX = fc.nat(9);
const refTo = (collection: string) => INDEX.map((index) => new Ref(collection, index));

/** Too deep for recursive readers of JSON. With `length`, a comparison converts it to text first. */
const ABYSS = `${'['.repeat(150_000)}${']'.repeat(150_000)}`;
const DEEP = [new Raw(ABYSS), new Raw(`${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`), new Raw(`{"length":${ABYSS}}`)];

/** Values that no schema here requires, or that often break programs. */
export const hostile: fc.Arbitrary<unknown> = fc.constantFrom(
  undefined,
  null,
  true,
  -1,
  0,
  0.5,
  Number.MAX_SAFE_INTEGER + 2,
  ...['-0', '1e309', '-1e309', '1e-400', '123456789012345678901234567890', '9223372036854775808'].map((text) => new Raw(text)),
  ...['"\\ud800"', '"\\udc00\\ud800"', '"a\\u0000b"', '"\\u0000"'].map((text) => new Raw(text)),
  '',
  ' ',
  '\u202e\ufeff\u2028',
  'é'.normalize('NFD'),
  "'; drop table devices; --",
  '../../etc/passwd',
  '00000000-0000-0000-0000-000000000000',
  '0000-01-01T00:00:00Z',
  '9999-12-31T23:59:59.999999999Z',
  '2026-02-30T00:00:00Z',
  'x'.repeat(100_000),
  '\u{1f600}'.repeat(10_000),
  {},
  [],
  { unknown: 1 },
  new Raw('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'),
  ...DEEP,
  new Raw(`[${'1,'.repeat(50_000)}1]`),
  new Raw('{"a":1,"a":2}'),
);
const LABELS = fc.constantFrom({}, { floor: '2' }, { 'a/b.c_d-e': '' });

/** Meaningful values for this service, by the name of the field. */
const HINTS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  sourceId: refTo('/api/v1/sources'),
  siteId: refTo('/api/v1/sites'),
  bundle: refTo('/agent/v1/bundles'),
  runningDigest: fc.oneof(fc.constant(null), refTo('/agent/v1/bundles')),
  backup: fc.constant(new Ref('/api/v1/devices/{id}/backups', 0)),
  metric: fc.constantFrom('cpu', 'no such', '__proto__'),
  deployment: fc.constant(new Ref('/api/v1/devices/{id}/deployments', 0)),
  deploymentId: fc.constant(new Ref('/api/v1/devices/{id}/deployments', 0)),
  rollout: refTo('/api/v1/rollouts'),
  path: fc.constantFrom('app.json', 'app.json', 'devices/golden-2', 'devices/golden-2/app.json', ''),
  commandId: fc.constant(new Ref('/api/v1/devices/{id}/commands', 0)),
  device_type: fc.constantFrom('manual', 'strava', 'no-such'),
  device_id: fc.constant(new Ref('own device', 0)),
  site: refTo('/api/v1/sites'),
  source: refTo('/api/v1/sources'),
  deviceId: refTo('/api/v1/devices'),
  integration: refTo('/api/v1/integrations'),
  url: fc.oneof(refTo('url'), refTo('url'), fc.constant('https://git.invalid/a.git')),
  apiUrl: fc.constantFrom('https://git.invalid/api/v1', 'http://127.0.0.1:1/api/v4'),
  ref: fc.constantFrom('main', 'refs/heads/main', 'HEAD', 'no-such', 'v1', '0'.repeat(40)),
  provider: fc.constantFrom('generic', 'gitlab', 'github', 'azure-devops', 'no-such'),
  secret: fc.constantFrom(SIGNING_TOKEN, 'user:password', 'a-secret-of-some-length'),
  adapter: fc.constantFrom('agent', 'directory', 'no-such'),
  type: fc.constantFrom('ping', 'run_hook', 'run_command', 'run_script', 'device.registered'),
  command_type: fc.constantFrom('ping', 'run_script', 'no-such'),
  payload: fc.oneof(
    fc.constantFrom({}, null, { hook: 'reload' }, { password: 'hunter2', nested: { a: [1] } }),
    fc.record({ free: fc.oneof(hostile, fc.constantFrom(...DEEP)) }),
  ),
  labels: LABELS,
  selector: LABELS,
  events: fc.constantFrom(['*'], ['device.*', 'rollout.*'], ['device.changed'], ['no.such']),
  email: fc.constantFrom('ada@example.com', null),
  cron: fc.constantFrom('0 2 * * *', '*/5 * * * *', '61 * * * *'),
  timeZone: fc.constantFrom('Europe/Berlin', 'UTC', 'No/Where'),
  // Only values that the service answers at once.
  wait: fc.constantFrom('0', '-1', '', 'x', '0.001', '1e-3', '-Infinity'),
  label: fc.constantFrom('floor=2', 'a=', 'a=b=c', '__proto__=x', 'floor'),
  subject: fc.constantFrom('devices', 'device:golden-0', 'token:x'),
  cursor: fc.constantFrom(
    ...[
      '0',
      '1',
      '999999999999999',
      '9999999999999999',
      '-1',
      '00000000-0000-0000-0000-000000000000',
      '0000-01-01T00:00:00.000Z',
      '9999-12-31T23:59:59.999Z',
      '2026-02-30T00:00:00Z',
      'golden-0',
      '["mark","key","golden-0"]',
      'a\u0000b',
      '\ud83d\ude00',
    ].map((text) => Buffer.from(text).toString('base64url')),
  ),
};

const MAX_STRING = 60;

/** A valid value by the schema, at its bounds more often than by chance. */
export function valid(schema: Schema, name = ''): fc.Arbitrary<unknown> {
  const plain = fromSchema(schema, name);
  const hint = HINTS[name];
  return hint === undefined || schema.type === 'object' ? plain : fc.oneof({ weight: 4, arbitrary: hint }, { weight: 1, arbitrary: plain });
}

function fromSchema(schema: Schema, name: string): fc.Arbitrary<unknown> {
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return fc.oneof(...choices.map((choice) => valid(choice, name)));
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const types = [schema.type ?? []].flat();
  if (types.length === 0) return fc.oneof(fc.jsonValue({ maxDepth: 3 }), hostile, fc.constantFrom(...DEEP));
  return fc.oneof(...types.map((type) => ofType(type, schema)));
}

function ofType(type: string, schema: Schema): fc.Arbitrary<unknown> {
  switch (type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return numbers(schema, (min, max) => fc.integer({ min, max }));
    case 'number':
      return numbers(schema, (min, max) => fc.double({ min, max, noNaN: true, noDefaultInfinity: true }));
    case 'array':
      return fc.array(valid(schema.items ?? {}), { minLength: schema.minItems ?? 0, maxLength: Math.min(schema.maxItems ?? 4, 4) });
    case 'object':
      return objects(schema);
    default:
      return strings(schema);
  }
}

function numbers(schema: Schema, between: (min: number, max: number) => fc.Arbitrary<number>): fc.Arbitrary<number> {
  const step = schema.type === 'integer' ? 1 : 0.001;
  const lowest = schema.minimum ?? (schema.exclusiveMinimum === undefined ? undefined : schema.exclusiveMinimum + step);
  const highest = schema.maximum ?? (schema.exclusiveMaximum === undefined ? undefined : schema.exclusiveMaximum - step);
  const [min, max] = [lowest ?? -2_147_483_648, highest ?? 2_147_483_647];
  const bounds = [lowest ?? Number.MIN_SAFE_INTEGER, highest ?? Number.MAX_SAFE_INTEGER];
  return fc.oneof({ weight: 3, arbitrary: between(min, max) }, { weight: 1, arbitrary: fc.constantFrom(...bounds) });
}

function strings(schema: Schema): fc.Arbitrary<string> {
  if (schema.format === 'uuid') return fc.uuid();
  if (schema.format === 'date-time')
    return fc.constantFrom(new Date().toISOString(), '2026-01-01T00:00:00Z', '9999-12-31T23:59:59.999Z', '0000-01-01T00:00:00Z');
  if (schema.pattern !== undefined) return fc.stringMatching(new RegExp(schema.pattern), { size: '-1' });
  const { minLength = 0, maxLength = MAX_STRING } = schema;
  const short = fc.string({ minLength, maxLength: Math.max(minLength, Math.min(maxLength, MAX_STRING)), unit: 'grapheme' });
  return fc.oneof({ weight: 6, arbitrary: short }, { weight: 1, arbitrary: fc.constantFrom('x'.repeat(minLength), 'x'.repeat(maxLength)) });
}

function objects(schema: Schema): fc.Arbitrary<unknown> {
  const { properties = {}, required = [], additionalProperties: others } = schema;
  const fields = Object.entries(properties).map(([name, inner]) => {
    const value = valid(inner, name);
    return [
      name,
      required.includes(name) ? value : fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value }),
    ] as const;
  });
  const known = fc.record(Object.fromEntries(fields), { noNullPrototype: true });
  if (typeof others !== 'object') return known;
  const names = schema.propertyNames === undefined ? fc.string({ maxLength: 20 }) : strings(schema.propertyNames);
  const more = fc.dictionary(names, valid(others), { maxKeys: 4, noNullPrototype: true });
  return fc.tuple(known, more).map(([first, second]) => ({ ...second, ...first }));
}
