import { z } from '@hono/zod-openapi';
import { Labels } from '../wire/agent.ts';
import { DEVICE_ID_RULE, matching } from '../wire/names.ts';

/** A folder in the repository: relative, without empty, `.` or `..` segments. '' is the root. */
const RepositoryPath = z
  .string()
  .max(1024)
  .refine(
    (path) => path === '' || path.split('/').every((part) => part !== '' && part !== '.' && part !== '..'),
    'must be a relative path without empty, "." or ".." segments',
  );

export const DEVICE_FIELDS = {
  name: z.string().trim().min(1).max(200),
  type: z.string().trim().min(1).max(100),
  labels: Labels,
  siteId: z.uuid().nullable(),
  adapter: z.string().min(1).max(40),
  sourceId: z.uuid().nullable(),
  path: RepositoryPath.nullable().openapi({
    description:
      "Folder in the source's repository. Default for layout fleet: the folder of the device's id, else the place for new ones in fleet.yaml; for layout repo: the root",
  }),
};

export const NewDevice = z
  .strictObject({
    id: z
      .string()
      .regex(...matching(DEVICE_ID_RULE))
      .openapi({ example: 'terminal-7' }),
    name: DEVICE_FIELDS.name.optional(),
    type: DEVICE_FIELDS.type.default('device'),
    labels: DEVICE_FIELDS.labels.default({}),
    siteId: DEVICE_FIELDS.siteId.default(null),
    adapter: DEVICE_FIELDS.adapter.default('agent'),
    sourceId: DEVICE_FIELDS.sourceId.default(null),
    path: DEVICE_FIELDS.path.optional(),
    simulated: z.boolean().default(false),
    start: z.boolean().default(true).openapi({ description: 'Follow the source at once' }),
  })
  .openapi('NewDevice');
