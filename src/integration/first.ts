import { audit } from '../audit/store.ts';
import type { Config } from '../config.ts';
import { messageOf } from '../errors.ts';
import { type Store, transact } from '../event/transact.ts';
import { newId } from '../ids.ts';
import type { Log } from '../log.ts';
import { createIntegration } from './changes.ts';
import { sealCredentials } from './credentials.ts';
import { openAccount, type PlatformDeps } from './open.ts';
import { checkAccount } from './settings/account.ts';
import { defaultDirection } from './settings/sync.ts';
import { integrationTypes, lockIntegrationsOf } from './store/services.ts';

type Given = Pick<Config, 'EXTERNAL_PROVIDER' | 'MOBIVISOR_API_URL' | 'MOBIVISOR_API_TOKEN'>;
type Deps = { store: Store; platforms: PlatformDeps; log: Log };

/**
 * Creates the integration that the environment describes, unless the organization has one of its type. It is never changed afterwards: people change it
 * through the API. A fault is logged and ends no start, and the platform is not called.
 */
export async function createFirstIntegration({ store, platforms, log }: Deps, organizationId: string, given: Given): Promise<void> {
  const { EXTERNAL_PROVIDER: kind, MOBIVISOR_API_URL: apiUrl, MOBIVISOR_API_TOKEN: apiToken } = given;
  if (platforms.isOff || kind === undefined || apiUrl === undefined || apiToken === undefined) return;
  try {
    const provider = platforms.providers.of(kind);
    if (provider.fromEnvironment === undefined) throw new Error(`type "${kind}" takes no settings from the environment`);
    const { settings, credentials } = checkAccount(provider, provider.fromEnvironment({ apiUrl, apiToken }));
    const id = newId();
    const named = { id, name: provider.title, type: kind, settings };
    // Checks the address.
    await openAccount(provider, named, credentials, platforms).close?.();
    const rules = { direction: defaultDirection(provider), strategy: 'remote_wins', fields: null, fieldRules: {} } as const;
    const pace = { isActive: true, autoSync: true, intervalSeconds: provider.defaultIntervalSeconds };
    const secrets = { ...sealCredentials(platforms.box, id, credentials), hookSecretSealed: null, hookSecretLast4: null };
    await transact(store, async (unit) => {
      await lockIntegrationsOf(unit.tx, organizationId);
      if ((await integrationTypes(unit.tx, organizationId)).includes(kind)) return;
      const { slug } = await createIntegration(unit, { organizationId, ...named, ...rules, ...pace, ...secrets });
      const entry = { actor: 'environment', action: 'integration.create', subject: `integration:${slug}`, outcome: 'ok' } as const;
      await audit(unit.tx, { organizationId, ...entry, detail: { type: kind } });
      log.info({ integration: slug }, 'integration created from the environment');
    });
  } catch (error) {
    log.error(
      { err: error, type: kind },
      `failed to create the integration of the environment: ${messageOf(error)}; the service starts without it`,
    );
  }
}
