import { z } from 'zod';
import { integrationProblem } from '../../problems.ts';
import { defineProvider, type Provider } from '../../provider.ts';
import { fieldsFor } from './devices.ts';
import { openRest } from './platform.ts';
import { REST_ABILITIES, RestCredentials } from './provider.ts';
import { checkTogether, description } from './settings.ts';

const HOUR_SECONDS = 3_600;

/** Types of the earlier system with their usual intervals. Their users give the address of the vendor's API, and where it differs its description. */
const PRESETS = [
  { kind: 'garmin', title: 'Garmin', hours: 1 },
  { kind: 'xiaomi', title: 'Xiaomi', hours: 2 },
  { kind: 'strava', title: 'Strava', hours: 2 },
  { kind: 'apple', title: 'Apple Health', hours: 1 },
] as const;

const usual = { list: description.list.prefault({ path: '/devices' }) };

function preset({ kind, title, hours }: (typeof PRESETS)[number]): Provider {
  return defineProvider({
    kind,
    title,
    // Integrations of the earlier system are made without an address. One is needed to sync.
    settings: z
      .strictObject({ baseUrl: z.url({ protocol: /^https?$/ }).optional(), ...description, ...usual })
      .omit({ configuration: true })
      .superRefine(checkTogether),
    credentials: RestCredentials,
    fields: { name: { kind: 'scalar', writable: true, title: 'Name' } },
    fieldsFor,
    views: {},
    document: null,
    defaultIntervalSeconds: hours * HOUR_SECONDS,
    abilities: { ...REST_ABILITIES, push: false },
    open: ({ settings: { baseUrl, ...rest }, credentials, connect }) => {
      if (baseUrl !== undefined) return openRest(baseUrl, { ...rest, configuration: undefined }, credentials, connect);
      const noAddress = async (): Promise<never> => {
        throw integrationProblem('integration_unsupported', `Cannot ask ${title}: the integration has no address; set settings.baseUrl`);
      };
      return { test: noAddress, list: noAddress };
    },
  });
}

/** Devices that people enter here themselves: there is no platform, so that every sync succeeds and finds nothing. */
const manual: Provider = defineProvider({
  kind: 'manual',
  title: 'Manual',
  settings: z.strictObject({}),
  credentials: z.strictObject({}),
  fields: { name: { kind: 'scalar', writable: false, title: 'Name' } },
  views: {},
  document: null,
  defaultIntervalSeconds: 24 * HOUR_SECONDS,
  abilities: {
    ...{ list: true, create: false, update: false, delete: false, push: false, nativeConfirm: false, dryRun: false },
    ...{ execute: false, hook: false },
  },
  open: () => ({
    test: async () => ({ account: 'manual', devices: 0, sample: [] }),
    list: async () => ({ devices: [], next: null, total: 0 }),
  }),
});

export const presets: readonly Provider[] = [...PRESETS.map(preset), manual];
