import { z } from 'zod';
import { isProblem } from '../../../errors.ts';
import { integrationProblem } from '../../problems.ts';
import type { Verification } from '../../provider.ts';
import { type Golioth, listOf, organizationPath, PER_PAGE } from './api.ts';

/**
 * Updates of firmware. The platform sends a cohort's deployment to all of its devices at once, without a percentage, a gate or an abort. Staging is
 * therefore ours: a device moves into the cohort when its wave opens.
 */
export const Update = z.strictObject({
  /** Name of the deployment, which is created once for the cohort. Deployments never change: another content needs another name. */
  name: z.string().min(1).max(128),
  artifactIds: z.array(z.string().min(1).max(128)).min(1).max(20),
  package: z.string().min(1).max(128).default('main'),
  /** The version that the device reports when it has updated. */
  version: z.string().min(1).max(128),
});
export type Update = z.output<typeof Update>;

const Deployment = z.object({ deploymentId: z.string(), name: z.string().default('') });
/** 10,000 deployments. */
const MAX_PAGES = 100;

/** Creates the deployment unless the cohort has one of its name: all devices of a wave ask for the same one. */
export async function ensureDeployment(golioth: Golioth, cohortId: string, update: Update, signal: AbortSignal): Promise<void> {
  if (await hasDeployment(golioth, cohortId, update.name, signal)) return;
  const path = await organizationPath(golioth, signal, 'cohorts', cohortId, 'deployments');
  const body = { name: update.name, artifactIds: update.artifactIds };
  try {
    await golioth.api.send({ doing: `create deployment "${update.name}"`, method: 'POST', path, body, signal });
  } catch (error) {
    // Another device of the wave was first, or only the answer is lost.
    if (!isProblem(error, 'integration_conflict', 'integration_unreachable', 'integration_timeout', 'integration_server_error'))
      throw error;
    if (!(await hasDeployment(golioth, cohortId, update.name, signal))) throw error;
  }
}

async function hasDeployment(golioth: Golioth, cohortId: string, name: string, signal: AbortSignal): Promise<boolean> {
  const path = await organizationPath(golioth, signal, 'cohorts', cohortId, 'deployments');
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const call = { doing: 'list the deployments', method: 'GET', path, query: { page, perPage: PER_PAGE }, signal } as const;
    const { list } = await golioth.read(call, listOf(Deployment));
    if (list.some((deployment) => deployment.name === name)) return true;
    if (list.length < PER_PAGE) return false;
  }
  throw integrationProblem('integration_too_large', `Cannot find deployment "${name}": the cohort has more than ${MAX_PAGES * PER_PAGE}`);
}

/** Reasons that end an update, of Golioth's firmware SDK (`ota.h`). The device tries again after 4 (connection lost), 10 and 11. */
const FAULTS: Readonly<Record<number, string>> = {
  2: 'not enough flash memory',
  3: 'not enough memory',
  5: 'the integrity check failed',
  6: 'the type of the package is not supported',
  7: 'the address of the package is wrong',
  8: 'the update failed',
  9: 'the protocol is not supported',
};

/** Events arrive up to a minute late. */
const ASK_AGAIN_SECONDS = 30;

const Event = z.object({
  status: z.coerce.number().optional().catch(undefined),
  timestamp: z.coerce.date().optional().catch(undefined),
  currentVersion: z.string().optional(),
  targetVersion: z.string().optional(),
});

/**
 * Success is reason 1 with the wanted version, whenever it was: the device may run it already, and then takes no update.
 * @param sinceMs the platform's time of the delivery, by the second: an older failure is that of an earlier one
 */
export async function updateProof(
  golioth: Golioth,
  deviceId: string,
  update: Update,
  sinceMs: number,
  signal: AbortSignal,
): Promise<Verification> {
  const path = await organizationPath(golioth, signal, 'ota-events');
  const query = { deviceId, packageId: update.package, limit: 50 };
  const { list } = await golioth.read({ doing: 'read the updates of the device', method: 'GET', path, query, signal }, listOf(Event));
  // The newest stands first.
  const newest = list.find(({ targetVersion }) => targetVersion === update.version);
  const what = `package "${update.package}" at version ${update.version}`;
  if (newest?.status === 1 && newest.currentVersion === update.version) return { is: 'verified' };
  const fault = FAULTS[newest?.status ?? 0];
  if (fault !== undefined && (newest?.timestamp?.getTime() ?? 0) >= sinceMs)
    return { is: 'refused', reason: `the device does not take ${what}: ${fault}` };
  return { is: 'pending', reason: `the device has not reported ${what} yet`, afterSeconds: ASK_AGAIN_SECONDS };
}
