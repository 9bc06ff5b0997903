import { z } from 'zod';
import { tokenText } from '../../../wire/text/secret-text.ts';
import { defineProvider } from '../../provider.ts';
import { outcomeOf, sendCommand, statusGaps } from './commands.ts';
import { deleteDevice, FIELDS, listDevices, readDevice, sampleDevices, updateDevice } from './devices.ts';
import { MobivisorDocument } from './push/document.ts';
import { createPush } from './push/push.ts';
import { showView, VIEWS } from './views.ts';

const StatusText = z.string().min(1).max(100);

const Settings = z.strictObject({
  apiUrl: z.url({ protocol: /^https?$/ }).describe("The tenant's address, such as https://tenant.mobivisor.com/"),
  // The vendor publishes no list of texts.
  completedStatuses: z
    .array(StatusText)
    .max(20)
    .default([])
    .describe("Texts of a command's status that mean it is done; other texts count as under way"),
  failedStatuses: z.array(StatusText).max(20).default([]).describe("Texts of a command's status that mean it failed"),
  proofSeconds: z
    .number()
    .int()
    .min(0)
    .max(3_600)
    .default(60)
    .describe('How long a delivery waits for the device to show its apps, or its commands as done, before it counts as unverified'),
});

const Credentials = z.strictObject({
  token: tokenText({ min: 8, max: 8_192 }).describe('A token of the tenant, which the vendor hands out. It may expire'),
});

/** The integrator's limit for one request. */
const TIMEOUT_MS = 10_000;

/**
 * Mobivisor, which manages Android and Apple devices. Its API is not published: what is known is what one integrator's program sends and gets, so that
 * every answer is read leniently, and what a device runs is claimed only where something shows it.
 */
export const mobivisor = defineProvider({
  kind: 'mobivisor',
  title: 'Mobivisor',
  settings: Settings,
  credentials: Credentials,
  fields: FIELDS,
  accountOf: ({ apiUrl }) => new URL(apiUrl).host,
  views: VIEWS,
  document: { names: ['mobivisor.yaml', 'mobivisor.yml', 'mobivisor.json'], schema: MobivisorDocument },
  // The earlier systems' figure.
  defaultIntervalSeconds: 900,
  fromEnvironment: ({ apiUrl, apiToken }) => ({ settings: { apiUrl }, credentials: { token: apiToken } }),
  abilities: {
    list: true,
    create: false,
    update: true,
    delete: true,
    push: 'unverified',
    nativeConfirm: false,
    dryRun: false,
    execute: true,
    hook: false,
  },
  open: ({ settings: { apiUrl, completedStatuses, failedStatuses, proofSeconds }, credentials: { token }, connect }) => {
    const open = (secrets: readonly string[]) =>
      connect({ baseUrl: apiUrl, headers: { authorization: `Bearer ${token}` }, secrets: [token, ...secrets], timeoutMs: TIMEOUT_MS });
    const api = open([]);
    const texts = { completed: completedStatuses, failed: failedStatuses };
    return {
      test: async (signal) => ({
        account: new URL(apiUrl).hostname,
        ...(await sampleDevices(api, signal)),
        gaps: await statusGaps(api, texts, signal),
      }),
      list: (cursor, signal) => listDevices(api, cursor, signal),
      read: (externalId, signal) => readDevice(api, externalId, signal),
      update: (externalId, changes, signal) => updateDevice(api, externalId, changes, signal),
      delete: (externalId, signal) => deleteDevice(api, externalId, signal),
      execute: (target, command, signal) => sendCommand(open, target, command, signal),
      outcome: (target, reference, signal) => outcomeOf(api, target, reference, texts, signal),
      view: (name, target, query, signal) => showView(api, name, target, query, signal),
      push: createPush(api, { texts, proofSeconds }),
    };
  },
});
