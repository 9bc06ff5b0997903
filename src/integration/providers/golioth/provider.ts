import { z } from 'zod';
import { tokenText } from '../../../wire/text/secret-text.ts';
import { defineProvider } from '../../provider.ts';
import { createGolioth, readProject } from './api.ts';
import { createDevice, deleteDevice, FIELDS, listDevices, readDevice, updateDevice } from './devices.ts';
import { hook } from './hook.ts';
import { createNames } from './names.ts';
import { createPush, GoliothDocument } from './push.ts';
import { callDevice } from './rpc.ts';
import { showView, VIEWS } from './views.ts';

const StatePath = z.string().regex(/^[^/\s]{1,64}(?:\/[^/\s]{1,64}){0,7}$/, 'must be a path of names such as "reported"');

const Settings = z.strictObject({
  projectId: z.string().min(1).max(128).describe('Id of the project, as its page in the console shows it'),
  apiUrl: z
    .url({ protocol: /^https?$/ })
    .default('https://api.golioth.io/v1')
    .describe('Address of the management API'),
  statePath: StatePath.default('reported').describe('Part of LightDB State that the devices write'),
  desiredPath: StatePath.default('desired').describe('Part of LightDB State that this service writes, and nothing else'),
  echoesState: z
    .boolean()
    .default(false)
    .describe('The firmware copies `_bellwether` from the desired into the reported state, which proves that it was read'),
  onlineSeconds: z
    .number()
    .int()
    .min(10)
    .max(604_800)
    .default(900)
    .describe('A device is online while it was heard of within this time: the platform has no flag for it'),
  methods: z
    .record(z.string().max(64), z.string().min(1).max(64))
    .default({ restart: 'reboot' })
    .describe('Method of the device for a command type, where it has another name'),
});

const SAMPLE = 5;
/** A call of a device may wait for the device. */
const TIMEOUT_MS = 15_000;

/** Golioth, through its management API. A key belongs to one project. */
export const golioth = defineProvider({
  kind: 'golioth',
  title: 'Golioth',
  settings: Settings,
  credentials: z.strictObject({ apiKey: tokenText({ min: 4, max: 8_192 }).describe('A key of the project') }),
  fields: FIELDS,
  accountOf: ({ apiUrl, projectId }) => `${new URL(apiUrl).host} ${projectId}`,
  views: VIEWS,
  document: { names: ['golioth.yaml', 'golioth.yml', 'golioth.json'], schema: GoliothDocument },
  defaultIntervalSeconds: 900,
  abilities: {
    ...{ list: true, create: true, update: true, delete: true, push: 'verified', nativeConfirm: false, dryRun: false },
    ...{ execute: true, hook: true },
  },
  open: ({ settings, credentials: { apiKey }, connect }) => {
    const { projectId, apiUrl, methods, ...options } = settings;
    const api = connect({ baseUrl: apiUrl, headers: { 'x-api-key': apiKey }, secrets: [apiKey], timeoutMs: TIMEOUT_MS });
    const platform = createGolioth(api, projectId);
    const names = createNames(platform);
    return {
      test: async (signal) => {
        const { name, id } = await readProject(platform, signal);
        const { devices, total } = await listDevices(platform, names, options, null, signal);
        return { account: name ?? id, devices: total, sample: devices.slice(0, SAMPLE) };
      },
      list: (cursor, signal) => listDevices(platform, names, options, cursor, signal),
      read: (externalId, signal) => readDevice(platform, names, options, externalId, signal),
      create: (device, signal) => createDevice(platform, names, options, device, signal),
      update: (externalId, changes, signal) => updateDevice(platform, names, options, externalId, changes, signal),
      delete: (externalId, signal) => deleteDevice(platform, externalId, signal),
      execute: (target, command, signal) => callDevice(platform, methods, target, command, signal),
      hook,
      view: (name, target, query, signal) => showView(platform, name, target, query, signal),
      push: createPush(platform, names, options),
    };
  },
});
