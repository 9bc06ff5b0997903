import { createRoute, z } from '@hono/zod-openapi';
import type { Store } from '../../event/transact.ts';
import { json, problems } from '../../http/kit.ts';
import type { Previews } from '../../preview/preview.ts';
import { mount, operation, role } from '../env.ts';
import { ConfigErrorView } from '../source/schemas.ts';
import { DeviceParams, findDevice } from './find.ts';

type Deps = { store: Store; previews: Previews };

/** The bundle that a device would get, before it gets it. */
export const devicePreviewRoutes = (deps: Deps) => mount(show(deps));

const Place = z.object({ layer: z.string(), file: z.string() });

const ProvenanceView = z
  .object({
    layers: z
      .array(z.object({ name: z.string(), path: z.string() }))
      .openapi({ description: 'The layers of the device; a later one wins' }),
    files: z.array(
      z.object({
        path: z.string(),
        from: z.array(Place.extend({ template: z.boolean() })).openapi({ description: 'Its origins; several if files were merged' }),
        values: z
          .array(Place.extend({ pointer: z.string(), line: z.number().int().optional() }))
          .openapi({ description: 'For a merged file: the origin of each value' }),
        variables: z
          .array(Place.extend({ name: z.string(), line: z.number().int() }))
          .openapi({ description: 'Variables that its templates read' }),
      }),
    ),
    removed: z.array(Place.extend({ path: z.string() })).openapi({ description: 'Files that a layer removed' }),
    truncated: z.boolean().openapi({ description: 'Not all values and variables are listed' }),
  })
  .openapi('Provenance');

const PreviewView = z
  .object({
    deviceId: z.string(),
    sourceId: z.string(),
    ref: z.string(),
    commit: z.string(),
    path: z.string(),
    verdict: z.enum(['valid', 'invalid', 'missing']),
    bundle: z.string().nullable(),
    running: z.string().nullable().openapi({ description: 'Bundle that the device runs' }),
    applyChanged: z.boolean(),
    truncated: z.boolean().openapi({ description: 'Not all files are shown' }),
    files: z.array(
      z.object({
        path: z.string(),
        mode: z.string(),
        size: z.number().int(),
        content: z.enum(['text', 'binary', 'too_large']),
        text: z.string().nullable(),
      }),
    ),
    diff: z.array(
      z.object({
        path: z.string(),
        change: z.enum(['added', 'removed', 'changed']),
        patch: z.string().nullable(),
        note: z.string().nullable(),
      }),
    ),
    errors: z.array(ConfigErrorView),
    provenance: ProvenanceView.nullable().openapi({ description: 'Origins; only on request, and for a valid folder' }),
  })
  .openapi('DevicePreview');

const Query = z.object({
  ref: z.string().min(1).max(255).optional().openapi({ description: "Branch, tag or commit; default: the source's prepared head" }),
  provenance: z.enum(['0', '1']).default('0').openapi({ description: '1: list the layer and file that each file and value comes from' }),
});

const show = ({ store: { sql }, previews }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/devices/{id}/preview',
      tags: ['Devices'],
      middleware: [role('viewer')] as const,
      request: { params: DeviceParams, query: Query },
      responses: {
        200: json(PreviewView, 'Its files, and their differences from the running files; secrets are not shown'),
        ...problems,
        502: { ...problems[503], description: 'The Git host fails' },
      },
    }),
    async (c) => {
      const device = await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const { ref, provenance } = c.req.valid('query');
      return c.json(await previews.show(device, { ref, provenance: provenance === '1' }), 200);
    },
  );
