import type { SecretBox } from '../crypto/secret-box.ts';
import type { AddressGuard } from '../git/http/address-guard.ts';
import { vendorConnector } from './api.ts';
import { openCredentials } from './credentials.ts';
import type { Integration } from './integration.ts';
import type { Isolated, Isolation } from './isolation.ts';
import { integrationProblem, switchedOff } from './problems.ts';
import type { Platform, Provider } from './provider.ts';
import type { Providers } from './registry.ts';
import { checkAccount } from './settings/account.ts';

export type PlatformDeps = {
  box: SecretBox;
  guard: AddressGuard;
  isolation: Isolation;
  providers: Providers;
  /** Refuses addresses without TLS. */
  httpsOnly?: boolean;
  /** The service runs without integrations: no platform is opened. */
  isOff?: boolean;
};

type Openable = Isolated & Pick<Integration, 'settings' | 'credentialsSealed' | 'isActive' | 'blockedReason'>;

/**
 * Opens the platform of a stored integration, within its slots and its circuit. Sends no request yet. The caller closes the platform.
 * @throws Problem `integration_disabled`, `integration_blocked`, `secret_unreadable`; `invalid_request` for settings that the provider no longer takes
 */
export function openPlatform(integration: Openable, deps: PlatformDeps): Platform {
  const { name, isActive, blockedReason } = integration;
  if (deps.isOff) throw switchedOff();
  if (!isActive)
    throw integrationProblem('integration_disabled', `Cannot use integration "${name}": it is switched off; switch it on first`);
  if (blockedReason !== null)
    throw integrationProblem('integration_blocked', `Cannot use integration "${name}" until it gets new credentials: ${blockedReason}`);
  return openAccount(deps.providers.of(integration.type), integration, openCredentials(deps.box, integration), deps);
}

/**
 * Opens a platform with these settings and credentials, stored or not: for tests before they are saved.
 * @throws Problem `invalid_request` with pointers, `address_refused`
 */
export function openAccount(
  provider: Provider,
  integration: Isolated & { settings: unknown },
  credentials: unknown,
  { guard, isolation, httpsOnly = false }: Pick<PlatformDeps, 'guard' | 'isolation' | 'httpsOnly'>,
): Platform {
  const account = checkAccount(provider, { settings: integration.settings, credentials });
  const isolate = isolation.of(integration);
  return provider.open({
    ...account,
    connect: vendorConnector({ guard, isolate, httpsOnly }),
    sockets: { guard, isolate, tlsOnly: httpsOnly },
  });
}
