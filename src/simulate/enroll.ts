import { setTimeout as sleep } from 'node:timers/promises';
import { doubled, jittered } from '../async/backoff.ts';
import { Problem, retryOf } from '../errors.ts';
import { EnrollResponse } from '../wire/agent.ts';
import type { Proxies } from '../wire/proxies.ts';
import { type Connections, openConnections, parseAnswer } from './connection.ts';
import type { DeviceKey } from './context.ts';

export type EnrollOptions = {
  server: string;
  /** From the environment. */
  proxies?: Proxies;
  /** An enrolment token with at least `count` uses left. */
  token: string;
  count: number;
  /** Devices are called `<prefix>-0001` and so on. */
  prefix: string;
  signal: AbortSignal;
};

const AT_ONCE = 16;
const MAX_TRIES = 5;
const RETRY_MS = { base: 400 };

/** Enrols `count` devices, marked as simulated, and returns their keys. @throws Problem of the first one that the service refuses */
export async function enrollDevices({ server, proxies, token, count, prefix, signal }: EnrollOptions): Promise<DeviceKey[]> {
  const connections = openConnections(server, proxies);
  const digits = Math.max(4, String(count).length);
  const ids = Array.from({ length: count }, (_, index) => `${prefix}-${String(index + 1).padStart(digits, '0')}`);
  const keys: DeviceKey[] = [];
  const queue = [...ids].reverse();
  const lane = async (): Promise<void> => {
    for (let id = queue.pop(); id !== undefined; id = queue.pop()) keys.push(await enroll(connections, token, id, signal));
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  } finally {
    queue.length = 0;
    await connections.close();
  }
  return keys.sort((a, b) => (a.id < b.id ? -1 : 1));
}

async function enroll(connections: Connections, token: string, deviceId: string, signal: AbortSignal): Promise<DeviceKey> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ deviceId, type: 'simulated', simulated: true });
  for (let tries = 1; ; tries++) {
    try {
      const { apiKey } = parseAnswer(EnrollResponse, await connections.ask({ method: 'POST', path: 'enroll', headers, body, signal }));
      return { id: deviceId, apiKey };
    } catch (error) {
      if (!(error instanceof Problem) || retryOf(error) === 'never' || tries === MAX_TRIES) throw error;
      const pauseMs = Math.max(doubled(RETRY_MS, tries), (error.retryAfterSeconds ?? 0) * 1000);
      await sleep(jittered(pauseMs), undefined, { signal });
    }
  }
}
