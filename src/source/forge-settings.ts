import { z } from 'zod';

/** Git hosts whose API is spoken here. Forgejo has Gitea's. */
export const FORGE_KINDS = ['gitlab', 'github', 'gitea', 'forgejo'] as const;
export type ForgeKind = (typeof FORGE_KINDS)[number];

/** What a source says of its host's API, where its URL does not tell. */
export const ForgeSettings = z.strictObject({
  kind: z.enum(FORGE_KINDS),
  /** Where the API begins, for example https://git.example.com/api/v1; default: from the repository's URL. */
  apiUrl: z
    .url({ protocol: /^https?$/ })
    .max(2048)
    .optional(),
});
export type ForgeSettings = z.output<typeof ForgeSettings>;
