import { z } from 'zod';
import { isSigningKey } from '../../../crypto/signature.ts';
import { tokenText } from '../../../wire/text/secret-text.ts';
import { defineProvider } from '../../provider.ts';
import { createPush } from './push.ts';

const Settings = z.strictObject({
  baseUrl: z.url({ protocol: /^https?$/ }).describe('Address of the gateway'),
  path: z
    .string()
    .max(500)
    .regex(/^\/[^\s#]*$/, 'must begin with "/" and have no spaces')
    .refine((path) => path.includes('{id}'), 'must contain "{id}"')
    .default('/devices/{id}/configuration')
    .describe("Where configurations are posted and read back. {id} stands for the device's id"),
  timeoutSeconds: z.number().min(1).max(60).default(10).describe('Time for one request'),
});

const Credentials = z.strictObject({
  signingSecret: tokenText({ min: 24, max: 200 })
    .refine(isSigningKey, 'must begin with "whsec_", followed by 16 to 64 bytes in base64, as the keys of Standard Webhooks do')
    .describe('The receiver knows the same key, and checks every request by Standard Webhooks'),
});

/** A gateway of the operator's own: it gets signed configurations, holds each on trial until it is confirmed, and shows what a device runs. */
export const http = defineProvider({
  kind: 'http',
  title: 'Signed HTTP',
  settings: Settings,
  credentials: Credentials,
  fields: { name: { kind: 'scalar', writable: false, title: 'Name' } },
  views: {},
  document: { names: ['http.yaml', 'http.yml', 'http.json'], schema: z.json() },
  defaultIntervalSeconds: 900,
  abilities: {
    ...{ list: false, create: false, update: false, delete: false, push: 'verified', nativeConfirm: true, dryRun: true },
    ...{ execute: false, hook: false },
  },
  open: ({ settings: { baseUrl, path, timeoutSeconds }, credentials: { signingSecret }, connect }) => {
    const api = connect({ baseUrl, headers: {}, secrets: [signingSecret], timeoutMs: timeoutSeconds * 1000 });
    return {
      // A gateway has no call that needs no device: its address and key prove themselves at the first configuration.
      test: async () => ({ account: new URL(baseUrl).host, devices: null, sample: [] }),
      push: createPush(api, path, signingSecret),
    };
  },
});
