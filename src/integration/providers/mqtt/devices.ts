import { z } from 'zod';
import { isTooDeep, type Json } from '../../../wire/text/json.ts';
import type { RemoteDevice, RemotePage } from '../../provider.ts';
import type { MqttConnection } from './connection.ts';

/** Content of a device's reported topic. `token` and `digest` are those of the desired message that it is about. */
export const Reported = z.object({
  digest: z.string().max(200).optional(),
  token: z.string().max(200).optional(),
  state: z.enum(['applying', 'applied', 'failed']),
  detail: z.string().max(2_000).optional(),
});

/** Time for the retained messages to arrive. No message says that they are complete. */
const WINDOW_MS = 1_500;

/** Lists the devices that have reported, or whose last will is known. */
export async function listed(connection: MqttConnection, signal: AbortSignal): Promise<RemotePage> {
  await connection.ready(signal);
  await connection.until(() => false, WINDOW_MS, signal);
  signal.throwIfAborted();
  const devices = connection
    .devices()
    .sort()
    .flatMap((id) => deviceOf(connection, id) ?? []);
  return { devices, next: null, total: devices.length };
}

/** @returns undefined when nothing is known of the device */
export function deviceOf(connection: MqttConnection, externalId: string): RemoteDevice | undefined {
  const { reported, status } = connection.shown(externalId);
  if (reported === undefined && status === undefined) return undefined;
  const state = parsed(reported);
  return {
    externalId,
    identities: [],
    values: { name: externalId },
    connectivity: status === 'online' || status === 'offline' ? status : 'unknown',
    lastSeenAt: status === 'online' ? new Date() : null,
    ...(state === undefined ? {} : { state }),
    details: {},
    updatedAt: null,
  };
}

/** Devices write these messages: anything that is not JSON counts as none. */
export function parsed(text: string | undefined): Json | undefined {
  if (text === undefined || isTooDeep(text)) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}
