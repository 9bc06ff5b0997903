import type { z } from 'zod';
import type { Config } from '../../config.ts';
import type { SecretBox } from '../../crypto/secret-box.ts';
import { last4 } from '../../crypto/tokens.ts';
import { Problem } from '../../errors.ts';
import { checkApiUrl, leavesOrigin } from '../../forge/place.ts';
import { checkRefName, parseRemote, withoutUserName } from '../../git/remote.ts';
import { mayActAs, type Role } from '../../organization/organization.ts';
import { sealApiToken, sealCredentials, sealHookSecret } from '../../source/credentials.ts';
import type { Source } from '../../source/source.ts';
import type { SourceSettings } from '../../source/store.ts';
import { webhookProvider } from '../../source/webhook/registry.ts';
import type { NewSource, SourceChange, Webhook } from './schemas.ts';

type Deps = { box: SecretBox; config: Config };

/** Settings of a new source. @throws Problem `invalid_url`, `invalid_ref`, `invalid_request` */
export function settingsOfNew(
  { box, config }: Deps,
  organizationId: string,
  id: string,
  wanted: z.output<typeof NewSource>,
): SourceSettings {
  const { auth, webhook, forge = null, apiToken, ...given } = wanted;
  const ref = checkRemote(config, { ...given, forge });
  const plain = { ...given, ref, url: withoutUserName(given.url) };
  return {
    organizationId,
    id,
    ...plain,
    forge,
    ...(apiToken === undefined ? NO_API_TOKEN : sealApiToken(box, id, apiToken)),
    ...(auth === undefined ? { authSealed: null, authHint: null } : sealCredentials(box, id, auth)),
    ...webhookSettings(box, id, webhook),
  };
}

/** Settings after a change: fields that it does not name stay. null removes `auth`, `webhook`, `forge` and `apiToken`. @throws as `settingsOfNew` */
export function settingsAfter({ box, config }: Deps, source: Source, change: z.output<typeof SourceChange>): SourceSettings {
  const { auth, webhook, forge, apiToken, ...given } = change;
  if (given.url !== undefined) checkRemote(config, { ...source, url: given.url });
  const plain = given.url === undefined ? given : { ...given, url: withoutUserName(given.url) };
  // Credentials were given for one origin. Another origin never gets them.
  const moved = plain.url !== undefined && originOf(plain.url) !== originOf(source.url);
  const next = { ...source, ...plain, forge: forge === undefined && !moved ? source.forge : (forge ?? null) };
  next.ref = checkRemote(config, next);
  if (next.url !== source.url) next.webhookHookId = null;
  if (auth !== undefined) Object.assign(next, auth === null ? { authSealed: null, authHint: null } : sealCredentials(box, source.id, auth));
  else if (moved) Object.assign(next, { authSealed: null, authHint: null });
  if (apiToken) Object.assign(next, sealApiToken(box, source.id, apiToken));
  else if (apiToken === null || moved) Object.assign(next, NO_API_TOKEN);
  if (webhook !== undefined) Object.assign(next, webhookSettings(box, source.id, webhook ?? undefined));
  return next;
}

const NO_API_TOKEN = { apiTokenSealed: null, apiTokenHint: null };

/**
 * Only an admin may have credentials sent to another origin than the repository's.
 * @throws Problem `forbidden`
 */
export function checkForgeOrigin(role: Role, before: Source | undefined, after: SourceSettings): void {
  const isNew = before?.forge?.apiUrl !== after.forge?.apiUrl || originOf(before?.url ?? '') !== originOf(after.url);
  if (!isNew || !leavesOrigin(after) || mayActAs(role, 'admin')) return;
  const detail = `Cannot set forge.apiUrl to "${after.forge?.apiUrl}": it is on another origin than the repository, which takes role "admin"`;
  throw new Problem('forbidden', detail);
}

/** Whether the commits found so far are void, because the source follows another repository, ref or layout. */
export function followsAnother(before: Source, after: SourceSettings): boolean {
  return before.url !== after.url || before.ref !== after.ref || before.layout !== after.layout;
}

/** @returns the ref as it is stored */
function checkRemote(config: Config, { url, ref, forge }: Pick<SourceSettings, 'url' | 'ref' | 'forge'>): string {
  parseRemote(url, { allowHttp: config.ALLOW_HTTP_GIT_HOSTS, allowLocal: config.ALLOW_LOCAL_SOURCES });
  if (forge !== null) checkApiUrl(forge, config);
  return checkRefName(ref);
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : url;
}

/** Forgets the installed hook: it has another secret now. */
export function webhookSettings(box: SecretBox, id: string, webhook: Webhook | undefined) {
  const none = { webhookProvider: null, webhookSecretSealed: null, webhookSecretLast4: null, webhookOptions: null, webhookHookId: null };
  if (webhook === undefined) return none;
  const { provider, secret, options = null } = webhook;
  webhookProvider(provider, options).checkSecret(secret);
  return {
    ...none,
    webhookProvider: provider,
    webhookSecretSealed: sealHookSecret(box, id, secret),
    webhookSecretLast4: last4(secret),
    webhookOptions: options,
  };
}
