import { appliedDevices } from '../adapter/pushes-store.ts';
import type { Store } from '../event/transact.ts';
import { newId } from '../ids.ts';
import type { ConfigurationVerdict } from '../integration/provider.ts';
import { ingestReports } from '../report/ingest.ts';
import type { Report } from '../wire/agent.ts';

export type DeviceVerdict = { deviceId: string; verdict: ConfigurationVerdict };

/**
 * Takes what a platform says later about configuration that was applied: devices that left it are shown as drifted, with the keys, and those that
 * returned to it no longer are. A verdict that is older than the last delivery says nothing about it. A fixed number of statements for any number of
 * devices.
 */
export async function noteVerdicts(store: Store, organizationId: string, verdicts: readonly DeviceVerdict[]): Promise<void> {
  if (verdicts.length === 0) return;
  const known = new Map(verdicts.map(({ deviceId, verdict }) => [deviceId, verdict]));
  const devices = await appliedDevices(store.sql, organizationId, [...known.keys()]);
  const batches = devices.flatMap(({ deviceId, bundle, isDrifted, appliedAt }) => {
    const verdict = known.get(deviceId);
    if (verdict === undefined || verdict.status === 'unknown' || (verdict.status === 'out_of_sync') === isDrifted) return [];
    if (verdict.at === null || verdict.at < appliedAt) return [];
    const changed = verdict.status === 'out_of_sync' ? keysOf(verdict) : [];
    const report: Report = { id: newId(), at: verdict.at.toISOString(), kind: 'drift', runningDigest: bundle, changed, healed: false };
    return [{ deviceId, reports: [report], delivery: { isContact: false, unverified: null } }];
  });
  if (batches.length > 0) await ingestReports(store, organizationId, batches);
}

/** A verdict without keys is about the whole configuration. */
function keysOf({ errors }: ConfigurationVerdict): string[] {
  return errors.length === 0 ? ['configuration'] : errors.map(({ key, detail }) => `${key}${detail === '' ? '' : ` (${detail})`}`);
}
