import { z } from '@hono/zod-openapi';
import { DIRECTIONS, INTERVAL_SECONDS, type Integration, STRATEGIES } from '../../integration/integration.ts';
import { INTEGRATION_STATES, stateOf } from '../../integration/runs/state.ts';

const time = z.iso.datetime();
const Settings = z.record(z.string().min(1).max(100), z.json()).openapi({
  type: 'object',
  description: 'By the schema that GET /integrations/providers shows; never a secret',
});
/** By name, as the provider's schema has them. */
export const Credentials = z.record(z.string().min(1).max(100), z.json()).openapi({
  type: 'object',
  description: 'By the schema that GET /integrations/providers shows; shown never again',
});
const FieldRules = z.record(
  z.string().min(1).max(100),
  z.strictObject({ direction: z.enum(DIRECTIONS).optional(), strategy: z.enum(STRATEGIES).optional() }),
);

const fields = {
  name: z.string().trim().min(1).max(200).openapi({ example: 'Field gateways' }),
  settings: Settings,
  enabled: z.boolean().openapi({ description: 'false: nothing is asked of the platform' }),
  direction: z.enum(DIRECTIONS).openapi({ description: 'import: from the platform to here' }),
  strategy: z.enum(STRATEGIES).openapi({ description: 'How a field is decided that both sides changed' }),
  fields: z
    .array(z.string().min(1).max(100))
    .max(200)
    .nullable()
    .openapi({ description: 'Fields that are synced; null: all of the provider' }),
  fieldRules: FieldRules.openapi({ description: 'Direction and strategy of single fields, where they differ' }),
  autoSync: z.boolean().openapi({ description: 'Syncs by itself at every interval' }),
  intervalSeconds: z.number().int().min(INTERVAL_SECONDS.min).max(INTERVAL_SECONDS.max),
};
const type = z.string().min(1).max(60).openapi({ description: 'A kind of GET /integrations/providers', example: 'golioth' });

export const NewIntegrationBody = z
  .strictObject({
    type,
    name: fields.name.optional().openapi({ description: "Default: the provider's title" }),
    settings: Settings.default({}),
    credentials: Credentials.default({}),
    enabled: fields.enabled.default(true),
    direction: fields.direction.optional().openapi({ description: 'Default: import, or export where the platform lists no devices' }),
    strategy: fields.strategy.default('remote_wins'),
    fields: fields.fields.default(null),
    fieldRules: fields.fieldRules.default({}),
    autoSync: fields.autoSync.default(true),
    intervalSeconds: fields.intervalSeconds.optional().openapi({ description: "Default: the provider's" }),
  })
  .openapi('NewIntegration');

export const IntegrationChange = z
  .strictObject({ ...z.object(fields).partial().shape, credentials: Credentials.optional() })
  .openapi('IntegrationChange');

export const Failure = z.object({ code: z.string(), detail: z.string() });
const State = z
  .enum(INTEGRATION_STATES)
  .openapi({ description: 'blocked: nothing is asked of the platform until it gets new credentials; stale: no sync succeeded in time' });

export const IntegrationView = z
  .object({
    id: z.string(),
    slug: z.string().openapi({ description: 'Names the integration in the API, as its id does', example: 'golioth_2' }),
    type,
    ...fields,
    credentials: z.record(z.string(), z.string()).openapi({ description: 'The last characters of each credential; empty for short ones' }),
    primary: z.boolean(),
    hookUrl: z.string().openapi({ description: 'Address for hooks of the platform' }),
    hookSecretLast4: z.string().nullable().openapi({ description: 'null: hooks are refused until there is a secret' }),
    state: State,
    error: Failure.nullable().openapi({ description: 'The error of the last sync' }),
    failures: z.number().int().openapi({ description: 'Failed syncs since the last success' }),
    blockedReason: z.string().nullable(),
    staleSince: time.nullable(),
    lastSyncAt: time.nullable(),
    lastSuccessAt: time.nullable(),
    nextSyncAt: time.nullable(),
    createdAt: time,
    updatedAt: time,
  })
  .openapi('Integration');

export const ListedIntegration = IntegrationView.extend({
  devices: z.number().int().openapi({ description: 'Devices that are assigned to it' }),
  failingDevices: z.number().int().openapi({ description: 'Devices whose last sync failed' }),
  openConflicts: z.number().int().openapi({ description: 'Conflicts that a person must resolve' }),
}).openapi('ListedIntegration');

export function viewIntegration(integration: Integration, publicUrl: string): z.output<typeof IntegrationView> {
  const { id, errorCode, errorDetail } = integration;
  return {
    id,
    slug: integration.slug,
    type: integration.type,
    name: integration.name,
    settings: integration.settings,
    credentials: integration.credentialsHint,
    enabled: integration.isActive,
    primary: integration.isPrimary,
    direction: integration.direction,
    strategy: integration.strategy,
    fields: integration.fields,
    fieldRules: integration.fieldRules,
    autoSync: integration.autoSync,
    intervalSeconds: integration.intervalSeconds,
    hookUrl: hookUrlOf(id, publicUrl),
    hookSecretLast4: integration.hookSecretLast4,
    state: stateOf(integration),
    error: errorCode === null ? null : { code: errorCode, detail: errorDetail ?? '' },
    failures: integration.failures,
    blockedReason: integration.blockedReason,
    staleSince: iso(integration.staleSince),
    lastSyncAt: iso(integration.lastRunAt),
    lastSuccessAt: iso(integration.lastSuccessAt),
    nextSyncAt: iso(integration.nextRunAt),
    createdAt: integration.createdAt.toISOString(),
    updatedAt: integration.updatedAt.toISOString(),
  };
}

export function hookUrlOf(id: string, publicUrl: string): string {
  return `${publicUrl}/hooks/integrations/${id}`;
}

export function iso(at: Date | null): string | null {
  return at?.toISOString() ?? null;
}

export const IntegrationTest = z
  .object({
    ok: z.boolean(),
    account: z.string().nullable().openapi({ description: "The name by which a person recognises the account, such as the project's" }),
    devices: z.number().int().nullable().openapi({ description: 'Devices of the account, where the platform shows the number' }),
    sample: z.array(
      z.object({
        externalId: z.string(),
        name: z.string().nullable(),
        connectivity: z.enum(['online', 'offline', 'unknown']),
        lastSeenAt: time.nullable(),
        values: z.record(z.string(), z.json()).openapi({ type: 'object', description: 'Values of the synced fields' }),
      }),
    ),
    gaps: z
      .array(z.string())
      .openapi({ description: 'Settings that have no effect, such as paths that found nothing in the answer of the platform' }),
    error: Failure.nullable(),
    durationMs: z.number().int(),
  })
  .openapi('IntegrationTest');
