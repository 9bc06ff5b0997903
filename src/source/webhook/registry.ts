import { invalid } from '../../errors.ts';
import { github } from './github.ts';
import { gitlab } from './gitlab.ts';
import type { HookHeaders, WebhookProvider } from './provider.ts';

/** In the order of recognition: hosts that imitate another one's headers come before it. */
export const webhookProviders: readonly WebhookProvider[] = [gitlab, github];

/** @throws Problem `invalid_request` */
export function webhookProvider(name: string): WebhookProvider {
  const provider = webhookProviders.find((candidate) => candidate.name === name);
  if (provider !== undefined) return provider;
  const known = webhookProviders.map((candidate) => `"${candidate.name}"`).join(', ');
  throw invalid(`Cannot find webhook provider "${name}", must be one of ${known}`);
}

/** The provider that a request's headers look like, for sources that name none. null: none of ours. */
export function recogniseProvider(headers: HookHeaders): WebhookProvider | null {
  return webhookProviders.find((provider) => provider.recognises(headers)) ?? null;
}
