import { createRoute, z } from '@hono/zod-openapi';
import { json, problems } from '../../http/kit.ts';
import type { PlatformDeps } from '../../integration/open.ts';
import type { Provider } from '../../integration/provider.ts';
import { mountOn, operation, role } from '../env.ts';
import { apiOf } from './find.ts';

type Deps = { platforms: PlatformDeps };

/** `GET /integrations/providers`: the platforms that an integration can have. */
export const providerRoutes = (deps: Deps) => mountOn(apiOf(deps), listAll(deps));

const JsonSchema = z.record(z.string(), z.json()).openapi({ type: 'object', description: 'JSON Schema' });
const ProviderView = z
  .object({
    kind: z.string().openapi({ description: 'The type of its integrations', example: 'golioth' }),
    title: z.string(),
    settings: JsonSchema,
    credentials: JsonSchema,
    abilities: z.object({
      list: z.boolean(),
      create: z.boolean(),
      update: z.boolean(),
      delete: z.boolean(),
      push: z
        .union([z.literal(false), z.enum(['verified', 'unverified'])])
        .openapi({ description: 'Whether it takes configuration, and whether what a device runs can be read back' }),
      nativeConfirm: z.boolean(),
      dryRun: z.boolean(),
      execute: z.boolean(),
      hook: z.boolean(),
    }),
    fields: z.array(z.object({ name: z.string(), title: z.string(), kind: z.enum(['scalar', 'set', 'map']), writable: z.boolean() })),
    views: z.array(z.object({ name: z.string(), title: z.string() })),
    document: z.array(z.string()).nullable().openapi({ description: 'Names of the file of a bundle that configures its devices' }),
    defaultIntervalSeconds: z.number().int(),
  })
  .openapi('IntegrationProvider');

const listAll = ({ platforms }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/integrations/providers',
      tags: ['Integrations'],
      middleware: [role('viewer')] as const,
      responses: { 200: json(z.object({ items: z.array(ProviderView) }), 'The platforms that this service knows'), ...problems },
    }),
    async (c) => c.json({ items: platforms.providers.all().map(viewProvider) }, 200),
  );

function viewProvider(provider: Provider): z.output<typeof ProviderView> {
  const { kind, title, abilities, fields, views, document, defaultIntervalSeconds } = provider;
  return {
    kind,
    title,
    settings: schemaOf(provider.settings),
    credentials: schemaOf(provider.credentials),
    abilities,
    fields: Object.entries(fields).map(([name, field]) => ({ name, title: field.title, kind: field.kind, writable: field.writable })),
    views: Object.entries(views).map(([name, view]) => ({ name, title: view.title })),
    document: document === null ? null : [...document.names],
    defaultIntervalSeconds,
  };
}

/** The input's schema: a value with a default may be left out. */
function schemaOf(schema: z.ZodType): z.output<typeof JsonSchema> {
  return JSON.parse(JSON.stringify(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })));
}
