import { z } from 'zod';

/** Git hosts with a supported API. Forgejo shares Gitea's. */
export const FORGE_KINDS = ['gitlab', 'github', 'gitea', 'forgejo'] as const;
export type ForgeKind = (typeof FORGE_KINDS)[number];

/** A source's settings for its host's API, for hosts that cannot be derived from the source's URL. */
export const ForgeSettings = z.strictObject({
  kind: z.enum(FORGE_KINDS),
  /** Base URL of the API, for example https://git.example.com/api/v1. Default: derived from the repository's URL. */
  apiUrl: z
    .url({ protocol: /^https?$/ })
    .max(2048)
    .optional(),
});
export type ForgeSettings = z.output<typeof ForgeSettings>;
