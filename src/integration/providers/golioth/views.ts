import { z } from 'zod';
import { withoutSecrets } from '../../../revision/secret/value.ts';
import { type Json, JsonValue } from '../../../wire/text/json.ts';
import { integrationProblem } from '../../problems.ts';
import type { PushTarget, ViewTraits } from '../../provider.ts';
import { type Golioth, listOf, organizationPath, projectPath } from './api.ts';
import { findDevice } from './devices.ts';
import { Setting } from './settings.ts';

/** Read-only views of a device. Secrets that its state or settings carry are replaced. */
export const VIEWS = {
  settings: { title: 'Settings', cacheSeconds: 10 },
  state: { title: 'LightDB State', cacheSeconds: 10 },
  'ota-events': { title: 'Firmware updates', cacheSeconds: 30 },
} as const satisfies Record<string, ViewTraits>;

type View = (golioth: Golioth, target: PushTarget, query: Readonly<Record<string, string>>, signal: AbortSignal) => Promise<Json>;

const settings: View = async (golioth, { externalId }, _query, signal) => {
  const path = projectPath(golioth, 'devices', externalId, 'settings');
  const { list } = await golioth.read({ doing: 'read the settings of the device', method: 'GET', path, signal }, listOf(Setting));
  const status = (await findDevice(golioth, externalId, signal))?.metadata.lastSettingsStatus;
  const errors = new Map((status?.errors ?? []).map((error) => [error.key, error.codeDescription]));
  return {
    status: status?.status ?? null,
    settings: list.map(({ key, dataType, value, deviceId }) => ({
      ...{ key, dataType },
      // The name of the key is what reveals a secret.
      value: (withoutSecrets({ [key]: value }) as Record<string, Json>)[key] ?? null,
      level: deviceId === undefined ? 'project or blueprint' : 'device',
      error: errors.get(key) ?? null,
    })),
  };
};

const state: View = async (golioth, { externalId }, _query, signal) => {
  const path = projectPath(golioth, 'devices', externalId, 'data');
  const call = { doing: 'read the state of the device', method: 'GET', path, signal } as const;
  return (await golioth.read(call, z.object({ data: JsonValue.optional() }))).data ?? null;
};

const OtaEvent = z.object({
  timestamp: z.string().optional(),
  packageId: z.string().optional(),
  eventType: z.string().optional(),
  status: JsonValue.optional(),
  currentVersion: z.string().optional(),
  targetVersion: z.string().optional(),
  message: z.string().optional(),
});

/** Newest first. `nextPageToken` of an answer is `pageToken` of the next one. */
const otaEvents: View = async (golioth, { externalId }, { pageToken }, signal) => {
  const path = await organizationPath(golioth, signal, 'ota-events');
  const query = { deviceId: externalId, limit: 50, pageToken };
  const shape = z.object({ list: z.array(OtaEvent), nextPageToken: z.string().optional() });
  const { list, nextPageToken } = await golioth.read(
    { doing: 'read the firmware updates of the device', method: 'GET', path, query, signal },
    shape,
  );
  return JSON.parse(JSON.stringify({ events: list, nextPageToken: nextPageToken ?? null })) as Json;
};

const READERS: Readonly<Record<keyof typeof VIEWS, View>> = { settings, state, 'ota-events': otaEvents };

export async function showView(
  golioth: Golioth,
  name: string,
  target: PushTarget,
  query: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Json> {
  if (!Object.hasOwn(READERS, name))
    throw integrationProblem(
      'integration_unsupported',
      `Cannot show view "${name}": Golioth has the views ${Object.keys(VIEWS).join(', ')}`,
    );
  return withoutSecrets(await READERS[name as keyof typeof VIEWS](golioth, target, query, signal)) as Json;
}
