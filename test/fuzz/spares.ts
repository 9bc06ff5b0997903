import { newId } from '../../src/ids.ts';
import { type Client, converge, rowsOf, until } from '../support/actors.ts';
import type { Remotes } from './remotes.ts';

/** Spare objects for each round, which requests may delete. */
const SPARES = 3;
/** Limit of objects in a list. A surplus is removed. */
const MOST = {
  '/api/v1/sources': 16,
  '/api/v1/devices': 100,
  '/api/v1/tokens': 40,
  '/api/v1/enrolment-tokens': 40,
  '/api/v1/notifications': 8,
  '/api/v1/integrations': 8,
} as const;

/** Creates new objects for each round, which requests may delete or end. */
export async function makeSpares(admin: Client, url: string, remotes: Remotes): Promise<void> {
  const { type, settings, credentials } = remotes.platform;
  for (let spare = 0; spare < SPARES; spare += 1) {
    await admin('POST', '/api/v1/devices', { id: `spare-${newId()}` });
    await admin('POST', '/api/v1/integrations', { type, settings, credentials, autoSync: false });
    await admin('POST', '/api/v1/tokens', { name: 'spare', role: 'viewer' });
    await admin('POST', '/api/v1/enrolment-tokens', {});
    await admin('POST', '/api/v1/sites', { name: `spare ${newId()}` });
    await admin('POST', '/api/v1/notifications', { name: `spare ${newId()}`, url: remotes.receiverUrl, events: ['*'] });
  }
  await makeRollouts(admin, url, remotes);
}

/** Rollouts that wait for approval (two), for their devices, for a resume, and for a new attempt after a failure. */
const WAITING = ['approval', 'approval', 'device', 'resume', 'retry'] as const;

async function makeRollouts(admin: Client, url: string, remotes: Remotes): Promise<void> {
  const [settings] = remotes.sources;
  const begun = WAITING.map(async (what) => {
    const id = `spare-${newId()}`;
    const policy = what === 'approval' ? { approval: { beforeRollout: true } } : { waves: [{ count: 1 }], errorBudget: { max: 5 } };
    const source = await admin('POST', '/api/v1/sources', { ...settings?.(id), rolloutPolicy: policy });
    const { apiKey } = await admin('POST', '/api/v1/devices', { id, sourceId: source.id });
    const key = { 'x-device-id': id, 'x-api-key': String(apiKey) };
    // A rollout waits for online devices only.
    await converge(url, key);
    await admin('POST', `/api/v1/sources/${source.id}/sync`);
    const rollout = async () => rowsOf((await admin('GET', `/api/v1/rollouts?sourceId=${source.id}`)).items)[0];
    await until('a rollout has begun', async () => ['running', 'awaiting_approval'].includes(String((await rollout())?.state)));
    if (what === 'resume') await admin('POST', `/api/v1/rollouts/${(await rollout())?.id}/pause`, {});
    if (what === 'retry') await until('an attempt failed', () => converge(url, key, 'failed'));
  });
  await Promise.all(begun);
}

/** Removes all but those with these ids. */
export async function removeSurplus(admin: Client, kept: Readonly<Record<string, readonly string[]>>): Promise<void> {
  for (const [path, most] of Object.entries(MOST)) {
    const { items } = await admin('GET', `${path}?limit=500`);
    const spare = rowsOf(items).filter(({ id }) => !kept[path]?.includes(String(id)));
    for (const { id } of spare.slice(0, Math.max(0, spare.length - most))) await admin('DELETE', `${path}/${id}`);
  }
}
