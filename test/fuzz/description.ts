import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { readOpenApi, type Schema } from '../support/openapi.ts';

export type Field = { name: string; in: 'path' | 'query' | 'header'; required: boolean; schema: Schema };

/** Authentication of an operation's caller. */
export type Credentials = 'bearer' | 'device' | 'enrolment' | 'root' | 'none';

/** An operation in the service's description. Its schemas have no `$ref` and no `allOf`. */
export type Operation = {
  /** `POST /api/v1/devices` */
  name: string;
  method: string;
  path: string;
  credentials: Credentials;
  fields: Field[];
  body: { type: string; schema: Schema }[];
  answers: ReadonlyMap<number, Answers>;
};

/** Validators by media type; none for an answer without a body. */
export type Answers = ReadonlyMap<string, ValidateFunction>;

export async function readOperations(serviceUrl: string): Promise<Operation[]> {
  const { operations, components, security: usual } = await readOpenApi(serviceUrl);
  const ajv = new Ajv2020({ strict: false, logger: false, allErrors: false });
  addFormats.default(ajv);
  return operations.map(({ method, path, operation }) => ({
    name: `${method} ${path}`,
    method,
    path,
    credentials: credentialsOf(operation.security ?? usual),
    fields: operation.parameters.map((field) => ({ ...field, schema: inline(field.schema, components.schemas, false) })),
    body: Object.entries(operation.requestBody?.content ?? {}).map(([type, { schema }]) => ({
      type,
      schema: inline(schema, components.schemas, false),
    })),
    answers: new Map(
      Object.entries(operation.responses).map(([status, { content = {} }]) => {
        const validators = Object.entries(content).map(
          ([type, { schema }]) => [type, ajv.compile(inline(schema, components.schemas, true))] as const,
        );
        return [Number(status), new Map(validators)];
      }),
    ),
  }));
}

function credentialsOf(security: readonly Record<string, unknown>[]): Credentials {
  const [first] = security;
  if (first === undefined) return 'none';
  if ('deviceKey' in first) return 'device';
  if ('rootToken' in first) return 'root';
  return 'enrolmentToken' in first ? 'enrolment' : 'bearer';
}

/** Resolves references and merges `allOf`. `closed`: an object has only the fields of its schema, unless the schema allows others. */
export function inline(schema: Schema, all: Readonly<Record<string, Schema>>, closed: boolean): Schema {
  const resolve = (inner: Schema): Schema => inline(inner, all, closed);
  if (schema.$ref !== undefined) return resolve(named(schema.$ref, all));
  if (schema.allOf !== undefined) return resolve(merge(schema.allOf.map((part) => deref(part, all))));
  const { items, properties, anyOf, oneOf, additionalProperties: others } = schema;
  return {
    ...schema,
    ...(items === undefined ? {} : { items: resolve(items) }),
    ...(properties === undefined
      ? {}
      : { properties: Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, resolve(inner)])) }),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map(resolve) }),
    ...(oneOf === undefined ? {} : { oneOf: oneOf.map(resolve) }),
    ...(typeof others === 'object' ? { additionalProperties: resolve(others) } : {}),
    ...(closed && properties !== undefined && others === undefined ? { additionalProperties: false } : {}),
  };
}

function deref(schema: Schema, all: Readonly<Record<string, Schema>>): Schema {
  if (schema.$ref !== undefined) return deref(named(schema.$ref, all), all);
  return schema.allOf === undefined ? schema : merge(schema.allOf.map((part) => deref(part, all)));
}

function merge(parts: readonly Schema[]): Schema {
  return {
    ...Object.assign({}, ...parts),
    properties: Object.assign({}, ...parts.map((part) => part.properties)),
    required: parts.flatMap((part) => part.required ?? []),
  };
}

function named(ref: string, all: Readonly<Record<string, Schema>>): Schema {
  const schema = all[ref.split('/').pop() ?? ''];
  if (schema === undefined) throw new Error(`The description has no ${ref}`);
  return schema;
}
