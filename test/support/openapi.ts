import { z } from 'zod';

const Schema = z.looseObject({
  get items(): z.ZodOptional<typeof Schema> {
    return Schema.optional();
  },
  get properties(): z.ZodOptional<z.ZodRecord<z.ZodString, typeof Schema>> {
    return z.record(z.string(), Schema).optional();
  },
  get anyOf(): z.ZodOptional<z.ZodArray<typeof Schema>> {
    return z.array(Schema).optional();
  },
  get oneOf(): z.ZodOptional<z.ZodArray<typeof Schema>> {
    return z.array(Schema).optional();
  },
  get allOf(): z.ZodOptional<z.ZodArray<typeof Schema>> {
    return z.array(Schema).optional();
  },
  get additionalProperties(): z.ZodOptional<z.ZodUnion<readonly [z.ZodBoolean, typeof Schema]>> {
    return z.union([z.boolean(), Schema]).optional();
  },
  get propertyNames(): z.ZodOptional<typeof Schema> {
    return Schema.optional();
  },
  $ref: z.string().optional(),
  type: z.union([z.string(), z.array(z.string())]).optional(),
  enum: z.array(z.unknown()).optional(),
  format: z.string().optional(),
  pattern: z.string().optional(),
  required: z.array(z.string()).optional(),
  minLength: z.number().optional(),
  maxLength: z.number().optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  exclusiveMinimum: z.number().optional(),
  exclusiveMaximum: z.number().optional(),
  minItems: z.number().optional(),
  maxItems: z.number().optional(),
});
export type Schema = z.output<typeof Schema>;

const security = z.array(z.record(z.string(), z.array(z.string())));
const Content = z.record(z.string(), z.object({ schema: Schema }));
const Parameter = z.object({
  name: z.string(),
  in: z.enum(['path', 'query', 'header']),
  required: z.boolean().default(false),
  schema: Schema.default({}),
});
const Operation = z.object({
  tags: z.array(z.string()).default([]),
  security: security.optional(),
  parameters: z.array(Parameter).default([]),
  requestBody: z.object({ content: Content, required: z.boolean().default(false) }).optional(),
  responses: z.record(z.string(), z.object({ content: Content.optional() })),
});
const Document = z.object({
  openapi: z.string(),
  security,
  paths: z.record(z.string(), z.record(z.string(), Operation)),
  components: z.object({ schemas: z.record(z.string(), Schema), securitySchemes: z.record(z.string(), z.unknown()) }),
});

/** The parts of the service's OpenAPI description that tests read. */
export async function readOpenApi(serviceUrl: string) {
  const response = await fetch(`${serviceUrl}/openapi.json`, { signal: AbortSignal.timeout(60_000) });
  const { paths, ...document } = Document.parse(await response.json());
  const operations = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
  return { ...document, operations };
}
