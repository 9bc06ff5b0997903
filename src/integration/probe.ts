import { startDeadline } from '../async/deadline.ts';
import { messageOf, Problem } from '../errors.ts';
import { newId } from '../ids.ts';
import type { Integration } from './integration.ts';
import { openAccount, type PlatformDeps } from './open.ts';
import { integrationProblem, switchedOff } from './problems.ts';
import type { RemoteDevice } from './provider.ts';

export type Probe = { account: string; devices: number | null; sample: RemoteDevice[]; gaps: string[] };

const PROBE_TIMEOUT_MS = 30_000;
const SAMPLE_DEVICES = 5;

/**
 * Tries settings and credentials at the platform, stored or not. It neither waits for the integration's slots nor consults its circuit: a person wants
 * to know whether the platform answers now.
 * @throws Problem `invalid_request` with pointers, `address_refused`, `integration_…`
 */
export async function probePlatform(
  platforms: PlatformDeps,
  integration: Pick<Integration, 'name' | 'type'> & { settings: unknown },
  credentials: unknown,
  signal?: AbortSignal,
): Promise<Probe> {
  if (platforms.isOff) throw switchedOff();
  const platform = openAccount(platforms.providers.of(integration.type), { ...integration, id: newId() }, credentials, platforms);
  const deadline = startDeadline(PROBE_TIMEOUT_MS, signal);
  try {
    const { account, devices, sample, gaps = [] } = await platform.test(deadline.signal);
    return { account, devices, sample: sample.slice(0, SAMPLE_DEVICES), gaps };
  } catch (error) {
    if (!deadline.isOver() || error instanceof Problem) throw error;
    const detail = `Cannot test "${integration.name}": the platform did not answer within ${PROBE_TIMEOUT_MS / 1000} s (${messageOf(error)})`;
    throw integrationProblem('integration_timeout', detail, { cause: error });
  } finally {
    deadline.clear();
    await platform.close?.();
  }
}
