import { z } from 'zod';
import type { SecretBox } from '../crypto/secret-box.ts';
import { last4 } from '../crypto/tokens.ts';
import { secretText, tokenText } from '../wire/text/secret-text.ts';
import type { Credentials, Source } from './source.ts';

export const CredentialsInput = z.union([
  z.strictObject({ username: secretText({ min: 1, max: 500 }), password: secretText({ min: 1, max: 4000 }) }),
  z.strictObject({ token: tokenText({ min: 1, max: 4000 }) }),
]);

/** Earlier versions stored credentials without validation, so that these are read as they are. */
const StoredCredentials = z.union([z.object({ username: z.string(), password: z.string() }), z.object({ token: z.string() })]);

export function sealCredentials(box: SecretBox, sourceId: string, credentials: Credentials): { authSealed: string; authHint: string } {
  const hint = 'token' in credentials ? tokenHint(credentials.token) : `user ${credentials.username}`;
  return { authSealed: box.seal(JSON.stringify(credentials), `source:${sourceId}:auth`), authHint: hint };
}

export function openCredentials(box: SecretBox, source: Pick<Source, 'id' | 'authSealed'>): Credentials | undefined {
  if (source.authSealed === null) return undefined;
  return StoredCredentials.parse(JSON.parse(box.open(source.authSealed, `source:${source.id}:auth`)));
}

export function sealHookSecret(box: SecretBox, sourceId: string, secret: string): string {
  return box.seal(secret, `source:${sourceId}:webhook`);
}

export function openHookSecret(box: SecretBox, source: Pick<Source, 'id' | 'webhookSecretSealed'>): string | null {
  return source.webhookSecretSealed === null ? null : box.open(source.webhookSecretSealed, `source:${source.id}:webhook`);
}

/** Seals a token for the host's API, for sources whose Git credentials have no access to it. */
export function sealApiToken(box: SecretBox, sourceId: string, token: string): { apiTokenSealed: string; apiTokenHint: string } {
  return { apiTokenSealed: box.seal(token, `source:${sourceId}:api-token`), apiTokenHint: tokenHint(token) };
}

export function openApiToken(box: SecretBox, source: Pick<Source, 'id' | 'apiTokenSealed'>): string | undefined {
  return source.apiTokenSealed === null ? undefined : box.open(source.apiTokenSealed, `source:${source.id}:api-token`);
}

function tokenHint(token: string): string {
  return `token …${last4(token)}`;
}
