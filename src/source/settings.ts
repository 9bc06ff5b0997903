import type { z } from 'zod';
import { checkRefName, parseRemote } from '../git/remote.ts';
import type { Services } from '../http/services.ts';
import { last4 } from '../tokens.ts';
import { sealCredentials, sealHookSecret } from './credentials.ts';
import type { NewSource, SourceChange, Webhook } from './schemas.ts';
import type { Source } from './source.ts';
import type { SourceSettings } from './store.ts';
import { webhookProvider } from './webhook/registry.ts';

/** Settings of a source that is to be made. @throws Problem `invalid_url`, `invalid_ref`, `invalid_request` */
export function settingsOfNew(
  { box, config }: Services,
  organizationId: string,
  id: string,
  wanted: z.output<typeof NewSource>,
): SourceSettings {
  const { auth, webhook, ...plain } = wanted;
  checkRemote(config, plain);
  return {
    organizationId,
    id,
    ...plain,
    ...(auth === undefined ? { authSealed: null, authHint: null } : sealCredentials(box, id, auth)),
    ...webhookSettings(box, id, webhook),
  };
}

/** Settings after a change: what it does not name stays; `auth` and `webhook` are removed by null. @throws as `settingsOfNew` */
export function settingsAfter({ box, config }: Services, source: Source, change: z.output<typeof SourceChange>): SourceSettings {
  const { auth, webhook, ...plain } = change;
  const next = { ...source, ...plain };
  checkRemote(config, next);
  // Credentials were given for one place: they do not follow to another.
  const moved = plain.url !== undefined && originOf(plain.url) !== originOf(source.url);
  if (auth !== undefined) Object.assign(next, auth === null ? { authSealed: null, authHint: null } : sealCredentials(box, source.id, auth));
  else if (moved) Object.assign(next, { authSealed: null, authHint: null });
  if (webhook !== undefined) Object.assign(next, webhookSettings(box, source.id, webhook ?? undefined));
  return next;
}

/** Whether what is known of the old repository says nothing about the new one. */
export function followsAnother(before: Source, after: SourceSettings): boolean {
  return before.url !== after.url || before.ref !== after.ref || before.layout !== after.layout;
}

function checkRemote(config: Services['config'], { url, ref }: { url: string; ref: string }): void {
  parseRemote(url, { allowHttp: config.ALLOW_HTTP_GIT_HOSTS, allowLocal: config.ALLOW_LOCAL_SOURCES });
  checkRefName(ref);
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : url;
}

function webhookSettings(box: Services['box'], id: string, webhook: Webhook | undefined) {
  if (webhook === undefined) return { webhookProvider: null, webhookSecretSealed: null, webhookSecretLast4: null, webhookOptions: null };
  const { provider, secret, options = null } = webhook;
  webhookProvider(provider, options).checkSecret(secret);
  return {
    webhookProvider: provider,
    webhookSecretSealed: sealHookSecret(box, id, secret),
    webhookSecretLast4: last4(secret),
    webhookOptions: options,
  };
}
