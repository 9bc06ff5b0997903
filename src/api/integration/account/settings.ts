import type { z } from '@hono/zod-openapi';
import type { SecretBox } from '../../../crypto/secret-box.ts';
import { invalid } from '../../../errors.ts';
import { newId } from '../../../ids.ts';
import { sealCredentials } from '../../../integration/credentials.ts';
import type { Integration } from '../../../integration/integration.ts';
import { openAccount, type PlatformDeps } from '../../../integration/open.ts';
import type { Provider } from '../../../integration/provider.ts';
import { checkAccount, namesNewOrigin } from '../../../integration/settings/account.ts';
import { checkSyncSettings, defaultDirection } from '../../../integration/settings/sync.ts';
import type { NewIntegration, SealedCredentials } from '../../../integration/store/services.ts';
import type { IntegrationChange, NewIntegrationBody } from '../schemas.ts';

type Deps = { box: SecretBox; platforms: PlatformDeps };

/** @throws Problem `invalid_request` with pointers, `address_refused` */
export async function settingsOfNew(
  { box, platforms }: Deps,
  organizationId: string,
  wanted: z.output<typeof NewIntegrationBody>,
): Promise<NewIntegration & SealedCredentials> {
  const provider = platforms.providers.of(wanted.type);
  const id = newId();
  const { name = provider.title, type, direction = defaultDirection(provider), strategy, fields, fieldRules, autoSync } = wanted;
  const account = await checkPlatform(platforms, provider, { id, name, type }, wanted);
  checkSyncSettings(provider, { direction, fields, fieldRules, settings: account.settings });
  const intervalSeconds = wanted.intervalSeconds ?? provider.defaultIntervalSeconds;
  const common = { organizationId, id, name, type, isActive: wanted.enabled, direction, strategy, fields, fieldRules, autoSync };
  return { ...common, intervalSeconds, settings: account.settings, ...sealCredentials(box, id, account.credentials) };
}

/**
 * The settings after a change, and the new credentials if there are any.
 * @param stored the credentials at present
 * @throws Problem `invalid_request` with pointers, `address_refused`
 */
export async function settingsAfter(
  { box, platforms }: Deps,
  before: Integration,
  stored: unknown,
  wanted: z.output<typeof IntegrationChange>,
): Promise<{ settings: NewIntegration; credentials: SealedCredentials | undefined }> {
  const provider = platforms.providers.of(before.type);
  const { credentials, settings = before.settings, enabled = before.isActive, ...changes } = wanted;
  const after = { ...before, ...changes, isActive: enabled };
  // Settings of an earlier version that the provider no longer takes do not hinder other changes.
  if (wanted.settings === undefined && credentials === undefined) {
    checkSyncSettings(provider, after);
    return { settings: after, credentials: undefined };
  }
  const account = await checkPlatform(platforms, provider, after, { settings, credentials: credentials ?? stored });
  checkSyncSettings(provider, { ...after, settings: account.settings });
  if (credentials === undefined) checkOrigin(before, account.settings);
  return {
    settings: { ...after, settings: account.settings },
    credentials: credentials === undefined ? undefined : sealCredentials(box, before.id, account.credentials),
  };
}

/** @throws Problem `invalid_request` when stored credentials would be sent to another origin */
export function checkOrigin(before: Integration, settings: Integration['settings']): void {
  if (before.credentialsSealed === null || !namesNewOrigin(before.settings, settings)) return;
  const detail = 'must be given together with another address: the stored ones are not sent there';
  throw invalid(`Cannot change the address of integration "${before.name}": /credentials ${detail}`, [{ pointer: '/credentials', detail }]);
}

/** Opens the platform, which checks its address; sends no request. */
async function checkPlatform(
  platforms: PlatformDeps,
  provider: Provider,
  integration: Pick<Integration, 'id' | 'name' | 'type'>,
  given: { settings: unknown; credentials: unknown },
) {
  const account = checkAccount(provider, given);
  const platform = openAccount(provider, { ...integration, settings: account.settings }, account.credentials, platforms);
  await platform.close?.();
  return account;
}
