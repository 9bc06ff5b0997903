import type { SecretBox } from '../crypto/secret-box.ts';
import { last4 } from '../crypto/tokens.ts';
import type { Integration } from './integration.ts';
import type { SealedCredentials, SealedHookSecret } from './store/services.ts';

type Keyed = Pick<Integration, 'id'>;

const credentialsContext = ({ id }: Keyed) => `integration:${id}:credentials`;
const hookContext = ({ id }: Keyed) => `integration:${id}:hook`;

/** @param credentials as the provider's schema parsed them; empty: the platform asks for none */
export function sealCredentials(box: SecretBox, id: string, credentials: Readonly<Record<string, unknown>>): SealedCredentials {
  const given = Object.entries(credentials).filter(([, value]) => value !== undefined);
  if (given.length === 0) return { credentialsSealed: null, credentialsHint: {} };
  return {
    credentialsSealed: box.seal(JSON.stringify(Object.fromEntries(given)), credentialsContext({ id })),
    credentialsHint: Object.fromEntries(given.map(([name, value]) => [name, typeof value === 'string' ? last4(value) : ''])),
  };
}

/** @throws Problem `secret_unreadable` */
export function openCredentials(box: SecretBox, integration: Pick<Integration, 'id' | 'credentialsSealed'>): Record<string, unknown> {
  const { credentialsSealed } = integration;
  return credentialsSealed === null ? {} : JSON.parse(box.open(credentialsSealed, credentialsContext(integration)));
}

export function sealHookSecret(box: SecretBox, id: string, secret: string): SealedHookSecret {
  return { hookSecretSealed: box.seal(secret, hookContext({ id })), hookSecretLast4: last4(secret) };
}

/** @returns null while the integration takes no hooks @throws Problem `secret_unreadable` */
export function openHookSecret(box: SecretBox, integration: Pick<Integration, 'id' | 'hookSecretSealed'>): string | null {
  const { hookSecretSealed } = integration;
  return hookSecretSealed === null ? null : box.open(hookSecretSealed, hookContext(integration));
}
