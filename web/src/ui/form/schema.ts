/** The part of JSON Schema that forms draw. A person edits all else as JSON. */

export type Value = null | boolean | number | string | Value[] | { [name: string]: Value };
export type Fields = { [name: string]: Value };

type Common = { title: string; description: string | undefined; fallback: Value | undefined };
export type Variant = { name: string; tag: string; shape: ShapeOf<'object'> };
export type Schema = Common &
  (
    | { kind: 'text'; isLong: boolean; isAddress: boolean }
    | { kind: 'number'; isInteger: boolean; min: number | undefined; max: number | undefined }
    | { kind: 'boolean' }
    | { kind: 'choice'; values: readonly (string | number)[] }
    | { kind: 'texts' }
    | { kind: 'object'; properties: readonly Property[] }
    /** One of several objects; `tag` is the field whose text tells which one. */
    | { kind: 'variants'; variants: readonly Variant[] }
    | { kind: 'json' }
  );
type ShapeOf<Kind extends Schema['kind']> = Extract<Schema, { kind: Kind }>;
export type ObjectSchema = ShapeOf<'object'>;
export type Property = { name: string; isRequired: boolean; schema: Schema };

const LONG_TEXT = 10_000;

/** Reads the schema of an object, such as a provider's settings. */
export function objectSchema(raw: unknown, title = ''): ObjectSchema {
  const { properties, required, ...rest } = recordOf(raw);
  const names = Array.isArray(required) ? required : [];
  return {
    ...commonOf(rest, title),
    kind: 'object',
    properties: Object.entries(recordOf(properties)).map(([name, schema]) => ({
      name,
      isRequired: names.includes(name),
      schema: schemaOf(schema, titleOf(name)),
    })),
  };
}

function schemaOf(raw: unknown, title: string): Schema {
  const schema = recordOf(raw);
  const common = commonOf(schema, title);
  const values = choicesOf(schema);
  if (values !== undefined) return { ...common, kind: 'choice', values };
  const variants = variantsOf(schema);
  if (variants !== undefined) return { ...common, kind: 'variants', variants };
  switch (schema.type) {
    case 'string':
      return { ...common, kind: 'text', isLong: numberOf(schema.maxLength, 0) > LONG_TEXT, isAddress: schema.format === 'uri' };
    case 'number':
    case 'integer':
      return {
        ...common,
        kind: 'number',
        isInteger: schema.type === 'integer',
        min: numberOf(schema.minimum),
        max: numberOf(schema.maximum),
      };
    case 'boolean':
      return { ...common, kind: 'boolean' };
    case 'array':
      return recordOf(schema.items).type === 'string' && choicesOf(recordOf(schema.items)) === undefined
        ? { ...common, kind: 'texts' }
        : { ...common, kind: 'json' };
    case 'object':
      return schema.properties === undefined ? { ...common, kind: 'json' } : { ...objectSchema(schema, title), ...common };
    default:
      return { ...common, kind: 'json' };
  }
}

function commonOf(schema: Record<string, unknown>, title: string): Common {
  return {
    title: typeof schema.title === 'string' ? schema.title : title,
    description: typeof schema.description === 'string' ? schema.description : undefined,
    fallback: isValue(schema.default) ? schema.default : undefined,
  };
}

/** The values of an enum, or of a union of constants. */
function choicesOf(schema: Record<string, unknown>): (string | number)[] | undefined {
  const options = schema.anyOf ?? schema.oneOf;
  const given = Array.isArray(schema.enum) ? schema.enum : Array.isArray(options) ? options.map((option) => recordOf(option).const) : [];
  const values = given.filter((value) => typeof value === 'string' || typeof value === 'number');
  return given.length > 0 && values.length === given.length ? values : undefined;
}

function variantsOf(schema: Record<string, unknown>): Variant[] | undefined {
  const options = schema.oneOf ?? schema.anyOf;
  if (!Array.isArray(options)) return undefined;
  const variants = options.flatMap((option): Variant[] => {
    const entries = Object.entries(recordOf(recordOf(option).properties));
    const [tag, constant] = entries.find(([, field]) => typeof recordOf(field).const === 'string') ?? [];
    const name = recordOf(constant).const;
    if (tag === undefined || typeof name !== 'string') return [];
    const shape = objectSchema(option, titleOf(name));
    return [{ name, tag, shape: { ...shape, properties: shape.properties.filter((property) => property.name !== tag) } }];
  });
  return variants.length === options.length ? variants : undefined;
}

/** `apiUrl` → "API URL", `onlineSeconds` → "Online seconds". */
export function titleOf(name: string): string {
  const parts = name
    .replace(/([a-z\d])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[\s_-]+/);
  const text = parts.map((part) => (/^(api|url|id|ca|qos|imei|os)$/.test(part) ? part.toUpperCase() : part)).join(' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whatever JSON can hold. */
export function isValue(value: unknown): value is Value {
  if (Array.isArray(value)) return value.every(isValue);
  if (isRecord(value)) return Object.values(value).every(isValue);
  return value === null || ['boolean', 'number', 'string'].includes(typeof value);
}

export function fieldsOf(value: unknown): Fields {
  return isRecord(value) && isValue(value) && !Array.isArray(value) && value !== null && typeof value === 'object' ? value : {};
}

function recordOf(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function numberOf(value: unknown): number | undefined;
function numberOf(value: unknown, otherwise: number): number;
function numberOf(value: unknown, otherwise?: number): number | undefined {
  // A bound of all safe integers bounds nothing for people.
  return typeof value === 'number' && Math.abs(value) < Number.MAX_SAFE_INTEGER ? value : otherwise;
}

/** JSON Pointer (RFC 6901) of a field below another one. */
export function pointerTo(parent: string, name: string | number): string {
  return `${parent}/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}
