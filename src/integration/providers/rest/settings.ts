import { z } from 'zod';
import { JsonValue } from '../../../wire/text/json.ts';
import { JsonPath, JsonPointer } from './paths.ts';

/** Describes a platform with a JSON API. What is left out, the platform cannot do. */

const Name = z.string().min(1).max(200);
const Parameter = z.string().min(1).max(100);
const HeaderName = z.string().regex(/^[\w-]{1,100}$/, 'must be the name of a header');
const CallPath = z
  .string()
  .max(500)
  .regex(/^\/[^\s#]*$/, 'must begin with "/" and have no spaces');
/** `{id}` stands for the device's id at the platform. */
const DevicePath = CallPath.refine((path) => path.includes('{id}'), 'must contain "{id}"');
const Method = z.enum(['POST', 'PUT', 'PATCH']);

/** How the credentials are sent. */
export const Auth = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('none') }),
  z.strictObject({ kind: z.literal('bearer') }),
  z.strictObject({ kind: z.literal('basic') }),
  z.strictObject({ kind: z.literal('header'), name: HeaderName }),
  z.strictObject({ kind: z.literal('query'), name: Parameter }),
]);

const size = z.number().int().min(1).max(1_000).default(100);
export const Paging = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('none') }),
  z.strictObject({
    kind: z.literal('page'),
    parameter: Parameter.default('page'),
    first: z.number().int().min(0).max(1).default(1),
    sizeParameter: Parameter.default('per_page'),
    size,
  }),
  z.strictObject({ kind: z.literal('offset'), parameter: Parameter.default('offset'), sizeParameter: Parameter.default('limit'), size }),
  /** `next`: where the answer has the cursor of the next page; missing or null there: it is the last one. */
  z.strictObject({
    kind: z.literal('cursor'),
    parameter: Parameter.default('cursor'),
    next: JsonPath,
    sizeParameter: Parameter.optional(),
    size,
  }),
  /** The address of the next page: in the header Link with rel="next" (RFC 8288), or in the body at `next`. */
  z.strictObject({ kind: z.literal('link'), next: JsonPath.optional(), sizeParameter: Parameter.optional(), size }),
]);
export type Paging = z.output<typeof Paging>;

const Values = z.array(z.union([z.string(), z.number(), z.boolean(), z.null()])).max(20);

/** Where a device's facts stand in one item of the list. */
export const Mapping = z.strictObject({
  id: JsonPath.default('$.id'),
  name: JsonPath.default('$.name'),
  /** Where a new name is put in the body of a change; left out: names are read only. */
  namePointer: JsonPointer.optional(),
  identities: z
    .array(z.strictObject({ kind: z.enum(['certificate', 'hardware']), path: JsonPath }))
    .max(10)
    .default([]),
  connectivity: z.strictObject({ path: JsonPath, online: Values, offline: Values.default([]) }).optional(),
  lastSeen: z.strictObject({ path: JsonPath, unit: z.enum(['iso', 's', 'ms']).default('iso') }).optional(),
  updated: z.strictObject({ path: JsonPath, unit: z.enum(['iso', 's', 'ms']).default('iso') }).optional(),
  state: JsonPath.optional(),
  /** Fields that are synced, by their names here. `pointer`: where a change is put; left out: the field is read only. */
  fields: z
    .record(
      z.string().regex(/^(?!name$)[A-Za-z_]\w{0,62}$/, 'must be a name other than "name"'),
      z.strictObject({
        path: JsonPath,
        kind: z.enum(['scalar', 'set', 'map']).default('scalar'),
        pointer: JsonPointer.optional(),
        title: Name.optional(),
      }),
    )
    .default({}),
});
export type Mapping = z.output<typeof Mapping>;

export const Hook = z.strictObject({
  /** `secret`: the header holds the secret itself. `hmac`: it holds the signature of the raw body. */
  proof: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('secret'), header: HeaderName.default('x-hook-secret'), prefix: z.string().max(40).default('') }),
    z.strictObject({
      kind: z.literal('hmac'),
      header: HeaderName,
      algorithm: z.enum(['sha256', 'sha1', 'sha512']).default('sha256'),
      encoding: z.enum(['hex', 'base64']).default('hex'),
      prefix: z.string().max(40).default(''),
      /** A header with the seconds since 1970 that is signed too: `before`, the seconds, `after`, and then the body. */
      timestamp: z
        .strictObject({
          header: HeaderName,
          before: z.string().max(40).default(''),
          after: z.string().max(40).default('.'),
          toleranceSeconds: z.number().int().min(1).max(3_600).default(300),
        })
        .optional(),
    }),
  ]),
  deliveryHeader: HeaderName.optional(),
  /** Ids of the devices that the hook is about. */
  devices: JsonPath.default('$.id'),
});
export type Hook = z.output<typeof Hook>;

const Call = z.strictObject({ method: Method.default('POST'), path: DevicePath });

type Parts = Pick<Description, 'device' | 'read' | 'update' | 'create' | 'command'>;

/** Parts that need each other. Half of a pair would do nothing, and nobody would know why. */
export function checkTogether({ device, read, update, create, command }: Parts, context: z.RefinementCtx): void {
  const refuse = (path: (string | number)[], message: string) => context.addIssue({ code: 'custom', path, message });
  if (update !== undefined && read === undefined) refuse(['update'], 'needs "read": what was written is read back');
  if (command?.outcome !== undefined && command.reference === undefined)
    refuse(['command', 'outcome'], 'needs "reference": where the answer names the command');
  const pointers: [path: string[], pointer: string | undefined][] = [
    [['device', 'namePointer'], device.namePointer],
    [['create', 'markerPointer'], create?.markerPointer],
    ...Object.entries(device.fields).map(([name, { pointer }]): [string[], string | undefined] => [
      ['device', 'fields', name, 'pointer'],
      pointer,
    ]),
  ];
  for (const [at, [path, pointer]] of pointers.entries()) {
    const other = pointers.find(([, one], index) => index !== at && one !== undefined && `${pointer}/`.startsWith(`${one}/`));
    if (pointer !== undefined && other !== undefined)
      refuse(path, `must not lie at or below "${other[1]}", the place of ${other[0].join('.')}`);
  }
}

export const description = {
  auth: Auth.default({ kind: 'bearer' }).describe('How the credentials are sent'),
  timeoutSeconds: z.number().min(1).max(60).default(10).describe('Time for one request'),
  list: z
    .strictObject({
      path: CallPath,
      query: z.record(Parameter, z.string().max(500)).default({}),
      items: JsonPath.default('$[*]'),
      total: JsonPath.optional(),
      paging: Paging.default({ kind: 'none' }),
    })
    .optional()
    .describe('The call that lists the devices'),
  device: Mapping.prefault({}).describe("Where a device's facts are in one item of the list, as JSONPath"),
  read: z.strictObject({ path: DevicePath, item: JsonPath.default('$') }).optional(),
  create: z
    .strictObject({ method: Method.default('POST'), path: CallPath, item: JsonPath.default('$'), markerPointer: JsonPointer.optional() })
    .optional(),
  update: z.strictObject({ method: Method.default('PATCH'), path: DevicePath }).optional(),
  delete: z.strictObject({ path: DevicePath }).optional(),
  /** `read`: where the platform shows what the device runs, which proves it. */
  configuration: z
    .strictObject({
      /** `document`: the content of `rest.yaml`. `bundle`: `{digest, files: [{path, content}]}` with all files in base64. */
      sends: z.enum(['document', 'bundle']).default('document'),
      /** Where the configuration is put in the body; left out: it is the body. */
      pointer: JsonPointer.optional(),
      write: z.strictObject({ method: Method.default('PUT'), path: DevicePath }),
      /** A call that checks the document and applies nothing. */
      check: z.strictObject({ method: Method.default('POST'), path: DevicePath }).optional(),
      read: z.strictObject({ path: DevicePath, item: JsonPath.default('$') }).optional(),
    })
    .optional(),
  /** `{type}` in the path stands for the type of the command. */
  command: Call.extend({
    typePointer: JsonPointer.default('/type'),
    payloadPointer: JsonPointer.default('/payload'),
    /** Left out: an answer with a status below 300 is the outcome. */
    reference: JsonPath.optional(),
    outcome: z.strictObject({ path: CallPath, status: JsonPath, completed: Values, failed: Values }).optional(),
  }).optional(),
  hook: Hook.optional(),
};

export const RestSettings = z
  .strictObject({
    baseUrl: z.url({ protocol: /^https?$/ }).describe('Address of the API; paths of calls are put behind it'),
    ...description,
  })
  .superRefine(checkTogether);
export type RestSettings = z.output<typeof RestSettings>;
/** As `RestSettings`, for a platform without an address. */
export type Description = Omit<RestSettings, 'baseUrl'>;

export const RestDocument = z.record(z.string().min(1).max(200), JsonValue);
