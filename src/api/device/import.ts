import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Adapters } from '../../adapter/registry.ts';
import { audited } from '../../audit/audited.ts';
import { auditDevices } from '../../audit/store.ts';
import { Problem } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { json, ProblemSchema, problemResponse, problems } from '../../http/kit.ts';
import { ImportRefused, importDevices } from '../../inventory/import.ts';
import { formatOf, MAX_IMPORT_ROWS, readRows } from '../../inventory/import-rows.ts';
import { auditName } from '../../organization/organization.ts';
import { callerOf, type Env, mount, operation, role } from '../env.ts';

type Deps = { store: Store; adapters: Adapters };

/** `POST /devices:import`: registers many devices in one request and one transaction. */
export const deviceImportRoutes = (deps: Deps) => mount(importMany(deps));

/** Below `/api/v1`. */
export const IMPORT_PATH = '/devices:import';
export const MAX_IMPORT_BYTES = 10 * 1024 * 1024;

const RefusedRows = z
  .array(z.object({ row: z.number().int(), errors: z.array(z.object({ pointer: z.string(), detail: z.string() })) }))
  .openapi({ description: 'Rows count from 1, without the header and empty lines; pointers refer to the row as NewDevice' });

const ImportAnswer = z
  .object({
    registered: z.number().int(),
    devices: z
      .array(z.object({ row: z.number().int(), id: z.string(), apiKey: z.string() }))
      .openapi({ description: 'In the order of the rows; the keys are shown only once' }),
    refused: RefusedRows,
  })
  .openapi('DeviceImport');

const RefusedImport = ProblemSchema.extend({ refused: RefusedRows.optional() }).openapi('RefusedDeviceImport');

const rows = z.string().openapi({ example: 'id,name,type,label.floor\ntill-7,Till 7,pos,2\n' });
const route = createRoute({
  method: 'post',
  path: IMPORT_PATH,
  tags: ['Devices'],
  description: `At most ${MAX_IMPORT_ROWS} rows and ${MAX_IMPORT_BYTES} bytes. CSV: a header that names fields of NewDevice, labels as columns label.<key>; an empty field counts as absent. JSON lines: one NewDevice per line.`,
  middleware: [role('operator')] as const,
  request: {
    query: z.object({ mode: z.enum(['partial', 'atomic']).default('partial').openapi({ description: 'atomic: all rows or none' }) }),
    body: { required: true, content: { 'text/csv': { schema: rows }, 'application/x-ndjson': { schema: z.string() } } },
  },
  responses: {
    200: json(ImportAnswer, 'Registered rows with their keys, and refused rows'),
    ...problems,
    422: { description: 'Nothing was registered', content: { 'application/problem+json': { schema: RefusedImport } } },
  },
});

const importMany = ({ store, adapters }: Deps) =>
  operation(route, async (c) => {
    const { mode } = c.req.valid('query');
    const actor = c.get('actor');
    const { organizationId } = actor;
    const read = await readRows(textOf(c), formatOf(c.req.header('content-type')));
    try {
      const entry = { action: 'device.import', subject: 'devices', detail: { mode, rows: read.length } };
      const { devices, refused } = await audited(callerOf(c), store, entry, async (unit) => {
        const imported = await importDevices(unit, organizationId, read, { mode, adapters: adapters.names });
        const ofEach = { organizationId, actor: auditName(actor), action: 'device.register', outcome: 'ok' } as const;
        const ids = imported.devices.map(({ id }) => id);
        await auditDevices(unit.tx, { ...ofEach, detail: { requestId: c.get('requestId') } }, ids);
        return imported;
      });
      return c.json({ registered: devices.length, devices, refused }, 200);
    } catch (error) {
      if (!(error instanceof ImportRefused)) throw error;
      const problem = ProblemSchema.parse(await problemResponse(c, error).json());
      return c.json({ ...problem, refused: error.refused }, 422, { 'content-type': 'application/problem+json' });
    }
  });

/** The body as a stream. The Idempotency-Key reads the whole body before: then it comes in one piece. */
async function* textOf(c: Context<Env>): AsyncGenerator<string> {
  if (c.req.header('idempotency-key') !== undefined) return yield await c.req.text();
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  try {
    for await (const bytes of c.req.raw.body ?? []) yield decoder.decode(bytes, { stream: true });
    yield decoder.decode();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new Problem('malformed_text', 'Cannot read the rows: they must be UTF-8', { cause: error });
  }
}
