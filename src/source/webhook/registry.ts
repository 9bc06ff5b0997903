import type { HookHeaders } from '../../crypto/signature.ts';
import { invalid } from '../../errors.ts';
import { azureDevOps } from './azure-devops.ts';
import { bitbucketCloud } from './bitbucket-cloud.ts';
import { bitbucketDataCenter } from './bitbucket-data-center.ts';
import { generic } from './generic.ts';
import { forgejo, gitea } from './gitea.ts';
import { github } from './github.ts';
import { gitlab } from './gitlab.ts';
import type { HookOptions } from './options.ts';
import type { WebhookProvider } from './provider.ts';

/** In the order of recognition: a host that copies another one's headers stands before it. */
export const webhookProviders: readonly WebhookProvider[] = [
  gitlab,
  forgejo,
  gitea,
  github,
  bitbucketCloud,
  bitbucketDataCenter,
  azureDevOps,
  generic,
];

/** @throws Problem `invalid_request` for an unknown name, or options of another provider */
export function webhookProvider(name: string, options: HookOptions | null = null): WebhookProvider {
  const provider = webhookProviders.find((candidate) => candidate.name === name);
  if (provider !== undefined) return options === null ? provider : configured(provider, options);
  const known = webhookProviders.map((candidate) => `"${candidate.name}"`).join(', ');
  throw invalid(`Cannot find webhook provider "${name}", must be one of ${known}`);
}

/** Recognises the provider by a request's headers, for sources that name none. null: unknown. */
export function recogniseProvider(headers: HookHeaders): WebhookProvider | null {
  return webhookProviders.find((provider) => provider.recognises(headers)) ?? null;
}

function configured(provider: WebhookProvider, options: HookOptions): WebhookProvider {
  if (provider.configure === undefined) throw invalid(`Cannot use webhook options with provider "${provider.name}": it has none`);
  return provider.configure(options);
}
