import type { Db } from '../db/connect.ts';
import type { Unit } from '../event/transact.ts';
import { MAX_PER_ORGANIZATION } from '../integration/integration.ts';
import type { Platform } from '../integration/provider.ts';
import {
  type Compared,
  type IdentityMatch,
  insertAssignments,
  lockAccount,
  matchCreations,
  matchIdentities,
  matchOrphans,
  matchShared,
  relink,
} from '../integration/store/assignments.ts';
import { listIntegrations } from '../integration/store/services.ts';
import { logDevices } from '../integration/store/sync-log.ts';
import type { Shown } from './read/shown.ts';
import type { SyncContext } from './record.ts';

/** Whether the platform has no device of that id any more. */
export type Vanished = (externalId: string) => boolean;

/**
 * Asks the platform about devices that may have got a new id, because another device shows one of their other ids. Rare: only devices that the
 * walk has not shown yet are asked about, and only where an unknown device shows the same certificate or hardware.
 */
export async function findVanished(
  sql: Db,
  context: SyncContext,
  platform: Platform,
  { others, known }: { others: readonly Shown[]; known: ReadonlyMap<string, Compared> },
  signal: AbortSignal,
): Promise<Vanished> {
  const { read } = platform;
  if (read === undefined || !context.mayMatch || others.length === 0) return () => false;
  const matches = await identityMatches(sql, context, others);
  const asked = matches.flatMap(({ externalId }) => (externalId === null || known.has(externalId) ? [] : [externalId]));
  const answers = await Promise.all(asked.map(async (id) => ({ id, isGone: (await read.call(platform, id, signal)) === undefined })));
  const gone = new Set(answers.filter(({ isGone }) => isGone).map(({ id }) => id));
  return (externalId) => gone.has(externalId);
}

async function identityMatches(sql: Db, { integration, walk }: SyncContext, shown: readonly Shown[]): Promise<IdentityMatch[]> {
  const wanted = shown.flatMap(({ device }, index) => device.identities.map((identity) => ({ ...identity, index })));
  return wanted.length === 0 ? [] : matchIdentities(sql, integration, walk, wanted);
}

/**
 * Finds devices that are here already although the platform shows them under an id that is new to the integration: created from here, provisioned anew, or
 * known from an earlier integration or another one of the account. A name alone matches only a device whose creation was asked for.
 * @returns their device ids by the platform's ids
 */
export async function linkKnown(
  { tx }: Unit,
  context: SyncContext,
  others: readonly Shown[],
  isGone: Vanished,
): Promise<Map<string, string>> {
  const { integration, provider, walk, runId } = context;
  const linked = new Map<string, string>();
  if (others.length === 0) return linked;
  const taken = new Set<string>();
  const link = (externalId: string, deviceId: string) => {
    if (linked.has(externalId) || taken.has(deviceId)) return;
    linked.set(externalId, deviceId);
    taken.add(deviceId);
  };
  if (context.mayMatch) {
    for (const { index, deviceId, externalId } of await identityMatches(tx, context, others)) {
      const other = others[index];
      if (other !== undefined && (externalId === null || isGone(externalId))) link(other.device.externalId, deviceId);
    }
    const names = new Map(others.map(({ device }) => [String(device.values.name), device.externalId]));
    for (const { name, deviceId } of await matchCreations(tx, integration, [...names.keys()])) link(names.get(name) ?? '', deviceId);
  }
  const links = [...linked].map(([externalId, deviceId]) => ({ externalId, deviceId }));
  await relink(tx, integration, links);
  const ids = others.map(({ device }) => device.externalId);
  const shared = await sharedDevices(tx, context, ids);
  const orphans = [...shared, ...(await matchOrphans(tx, integration.organizationId, provider.kind, ids))].filter(
    ({ externalId, deviceId }) => !linked.has(externalId) && !taken.has(deviceId),
  );
  await insertAssignments(
    tx,
    integration,
    orphans.map(({ externalId, deviceId }) => ({ deviceId, externalId, identities: [], walk })),
  );
  for (const { externalId, deviceId } of orphans) link(externalId, deviceId);
  await logDevices(
    tx,
    integration,
    runId,
    [...linked].map(([externalId, deviceId]) => ({
      ...{ externalId, deviceId, operation: 'link', direction: null, status: 'succeeded', details: {} },
    })),
  );
  return linked;
}

/**
 * Devices that another integration of the same account has. New devices of an account are taken one transaction after the other, so that of two
 * integrations that show the same one at once the second finds it here.
 */
async function sharedDevices(tx: Db, { integration, provider }: SyncContext, externalIds: readonly string[]) {
  const { organizationId, id, type, settings } = integration;
  const account = provider.accountOf?.(settings);
  if (account === undefined) return [];
  await lockAccount(tx, organizationId, `${type} ${account}`);
  const all = await listIntegrations(tx, organizationId, null, MAX_PER_ORGANIZATION);
  const same = all.filter((one) => one.id !== id && one.type === type && provider.accountOf?.(one.settings) === account);
  const ids = same.map((one) => one.id);
  return ids.length === 0 ? [] : matchShared(tx, integration, ids, externalIds);
}
