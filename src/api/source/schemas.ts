import { z } from '@hono/zod-openapi';
import { PolicySchema } from '../../policy/schema.ts';
import type { Revision } from '../../revision/store.ts';
import { CredentialsInput } from '../../source/credentials.ts';
import { ForgeSettings } from '../../source/forge-settings.ts';
import { DEFAULT_POLL_SECONDS, MAX_POLL_SECONDS, MIN_POLL_SECONDS, type Source } from '../../source/source.ts';
import { HookOptions } from '../../source/webhook/options.ts';
import { DriftPolicy } from '../../wire/agent.ts';
import { secretText, tokenText } from '../../wire/text/secret-text.ts';

const Webhook = z.strictObject({
  provider: z.string().min(1).max(40),
  secret: secretText({ min: 8, max: 500 }),
  options: HookOptions.optional().openapi({ description: 'How the sender authenticates, where the provider leaves that open' }),
});
export type Webhook = z.output<typeof Webhook>;

const forge = {
  description: "API of the repository's Git host, where its URL and webhook do not show it; only an admin may name another origin",
};
const ApiToken = tokenText({ min: 8, max: 4000 }).openapi({ description: "Token for the host's API, if `auth` lacks that permission" });

const fields = {
  name: z.string().trim().min(1).max(200).openapi({ example: 'store-terminals' }),
  url: z.string().min(1).max(2048).openapi({ example: 'https://gitlab.example.com/fleet/terminals.git' }),
  ref: z.string().min(1).max(255).openapi({ description: 'Branch or tag, or a commit of 40 hex digits', example: 'main' }),
  layout: z.enum(['repo', 'fleet']),
  pollIntervalSeconds: z.number().int().min(MIN_POLL_SECONDS).max(MAX_POLL_SECONDS),
  allOrNothing: z.boolean().openapi({ description: 'One invalid device folder blocks the whole revision' }),
  driftPolicy: DriftPolicy,
  rolloutPolicy: PolicySchema,
  reportStatus: z
    .boolean()
    .openapi({ description: 'Whether to post plans of merge requests and rollouts to the Git host, if its kind and token are known' }),
  policyFrom: z.enum(['git', 'source']).openapi({ description: 'Whether a `rollout:` in the repository overrides rolloutPolicy' }),
};

export const NewSource = z
  .strictObject({
    ...fields,
    ref: fields.ref.default('main'),
    pollIntervalSeconds: fields.pollIntervalSeconds.default(DEFAULT_POLL_SECONDS),
    allOrNothing: fields.allOrNothing.default(false),
    driftPolicy: fields.driftPolicy.default('heal'),
    rolloutPolicy: fields.rolloutPolicy.default({}),
    policyFrom: fields.policyFrom.default('git'),
    reportStatus: fields.reportStatus.default(true),
    auth: CredentialsInput.optional(),
    webhook: Webhook.optional(),
    forge: ForgeSettings.optional().openapi(forge),
    apiToken: ApiToken.optional(),
  })
  .openapi('NewSource');

/** The fields of a new source that its connection needs. */
export const NewSourceTest = NewSource.pick({ url: true, ref: true, auth: true }).openapi('NewSourceTest');

export const SourceChange = z
  .strictObject({
    ...z.object(fields).partial().shape,
    auth: CredentialsInput.nullable().optional(),
    webhook: Webhook.nullable().optional(),
    forge: ForgeSettings.nullable().optional().openapi(forge),
    apiToken: ApiToken.nullable().optional(),
  })
  .openapi('SourceChange');

const time = z.iso.datetime();

export const SourceView = z
  .object({
    id: z.string(),
    ...fields,
    auth: z.string().nullable().openapi({ description: 'A hint at the credentials, which are never shown' }),
    webhook: z
      .object({
        provider: z.string(),
        secret: z.string().openapi({ description: 'Its last characters' }),
        options: HookOptions.nullable(),
      })
      .nullable(),
    hold: z.object({ at: time, by: z.string(), reason: z.string() }).nullable(),
    hookUrl: z.string(),
    forge: ForgeSettings.nullable(),
    apiToken: z.string().nullable().openapi({ description: 'Its last characters' }),
    status: z.enum(['new', 'ok', 'partial', 'invalid', 'empty', 'ref_missing', 'waiting', 'failing']),
    headCommit: z.string().nullable(),
    revisionId: z.string().nullable(),
    lastCheckedAt: time.nullable(),
    lastSyncedAt: time.nullable(),
    nextCheckAt: time,
    movedTo: z.string().nullable().openapi({ description: 'Address to which the host redirects `url`; set `url` to it' }),
    lastError: z.object({ code: z.string(), detail: z.string() }).nullable(),
    failures: z.number().int(),
    createdAt: time,
    updatedAt: time,
  })
  .openapi('Source');

export function viewSource(source: Source, publicUrl: string): z.output<typeof SourceView> {
  return {
    id: source.id,
    name: source.name,
    url: source.url,
    ref: source.ref,
    layout: source.layout,
    pollIntervalSeconds: source.pollIntervalSeconds,
    allOrNothing: source.allOrNothing,
    driftPolicy: source.driftPolicy,
    rolloutPolicy: source.rolloutPolicy,
    policyFrom: source.policyFrom,
    reportStatus: source.reportStatus,
    hold: source.heldAt === null ? null : { at: source.heldAt.toISOString(), by: source.heldBy ?? '', reason: source.holdReason ?? '' },
    auth: source.authHint,
    webhook: viewWebhook(source),
    hookUrl: hookUrlOf(source, publicUrl),
    forge: source.forge,
    apiToken: source.apiTokenHint,
    status: source.status,
    headCommit: source.headCommit,
    revisionId: source.revisionId,
    lastCheckedAt: source.lastCheckedAt?.toISOString() ?? null,
    lastSyncedAt: source.lastSyncedAt?.toISOString() ?? null,
    nextCheckAt: source.nextCheckAt.toISOString(),
    movedTo: source.movedTo,
    lastError: source.errorCode === null ? null : { code: source.errorCode, detail: source.errorDetail ?? '' },
    failures: source.failures,
    createdAt: source.createdAt.toISOString(),
    updatedAt: source.updatedAt.toISOString(),
  };
}

/** Where git hosts post to. */
export function hookUrlOf({ id }: Pick<Source, 'id'>, publicUrl: string): string {
  return `${publicUrl}/hooks/${id}`;
}

function viewWebhook({ webhookProvider: provider, webhookSecretLast4, webhookOptions: options }: Source) {
  return provider === null ? null : { provider, secret: `…${webhookSecretLast4 ?? ''}`, options };
}

export const ConfigErrorView = z
  .object({
    code: z.string(),
    file: z.string(),
    line: z.number().int().optional(),
    rendered: z.string().optional().openapi({ description: 'The wrong file, if layers or a template made it from `file`' }),
    pointer: z.string(),
    rule: z.string(),
    limit: z.unknown().optional(),
    actual: z.unknown().optional(),
    message: z.string(),
  })
  .openapi('ConfigError');

export const RevisionView = z
  .object({
    id: z.string(),
    sourceId: z.string(),
    commit: z.string(),
    ref: z.string(),
    author: z.object({ name: z.string(), email: z.string() }),
    message: z.string(),
    committedAt: time,
    verdict: z.enum(['valid', 'partial', 'invalid']),
    signature: z.string(),
    errors: z.array(ConfigErrorView),
    pathsChanged: z.number().int(),
    pathsInvalid: z.number().int(),
    timings: z.record(z.string(), z.number()),
    createdAt: time,
  })
  .openapi('Revision');

export const RevisionDetail = RevisionView.extend({
  paths: z.array(
    z.object({
      path: z.string(),
      verdict: z.enum(['valid', 'invalid', 'missing']),
      bundle: z.string().nullable(),
      errors: z.array(ConfigErrorView),
    }),
  ),
  devices: z.array(z.string()).openapi({ description: 'Devices that the revision changed' }),
}).openapi('RevisionDetail');

export function viewRevision(revision: Revision): z.output<typeof RevisionView> {
  return {
    id: revision.id,
    sourceId: revision.sourceId,
    commit: revision.commit,
    ref: revision.ref,
    author: { name: revision.authorName, email: revision.authorEmail },
    message: revision.message,
    committedAt: revision.committedAt.toISOString(),
    verdict: revision.verdict,
    signature: revision.signatureVerdict,
    errors: revision.errors,
    pathsChanged: revision.pathsChanged,
    pathsInvalid: revision.pathsInvalid,
    timings: revision.timings,
    createdAt: revision.createdAt.toISOString(),
  };
}
