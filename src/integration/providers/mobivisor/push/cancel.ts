import type { VendorApi } from '../../../api.ts';
import { integrationProblem } from '../../../problems.ts';
import type { PreparedPush, PushTarget } from '../../../provider.ts';
import { readRecord } from '../devices.ts';
import { changeManagedConfig, withEntries } from './apps.ts';
import { Backup, keptOf, listsOf, ownOf } from './backup.ts';
import { Desired, joined, type Settings } from './document.ts';
import { sendSettings } from './send.ts';
import { shownSettings } from './shown.ts';

/**
 * Puts back what was read before, and leaves alone what others changed since. The platform has no call that removes a feature control, a variable or
 * an application of a group.
 * @throws Problem `integration_unsupported`, after the rest was put back, which names what stays
 */
export async function cancel(api: VendorApi, { externalId }: PushTarget, prepared: PreparedPush, signal: AbortSignal): Promise<void> {
  const desired = Desired.parse(prepared.desired);
  const backup = Backup.parse(prepared.previous ?? { groupApplications: [], managedConfig: [] });
  for (const { app, values } of desired.managedConfig) {
    const before = backup.managedConfig.find((one) => one.app === app)?.entries ?? [];
    await changeManagedConfig(api, app, (entries) => withEntries(entries, before, Object.keys(values)), signal);
  }
  const earlier = ownOf(desired, backup);
  const others = keptOf(desired, shownSettings(await readRecord(api, externalId, signal)));
  await sendSettings(api, externalId, listsOf(desired, joined(others, earlier)), signal);
  const stays = [
    ...staysOf(desired, earlier, shownSettings(await readRecord(api, externalId, signal))),
    ...desired.groupApplications.flatMap(({ group, apps }) => {
      const before = backup.groupApplications.find((one) => one.group === group)?.apps ?? [];
      return apps.filter((app) => !before.includes(app)).map((app) => `application "${app}" of group "${group}"`);
    }),
  ];
  if (stays.length > 0)
    throw integrationProblem(
      'integration_unsupported',
      `Cannot put back ${stays.join(', ')}: Mobivisor shows no earlier value and cannot remove one; send the last good bundle`,
    );
}

/** Names of new values that are still there, or that may be, where the device shows nothing. */
function staysOf(desired: Desired, earlier: Settings, present: Partial<Settings>): string[] {
  const before = new Set(earlier.featureControls.map(({ feature }) => feature));
  const features = desired.featureControls.filter(
    ({ feature }) => !before.has(feature) && (present.featureControls?.some((one) => one.feature === feature) ?? true),
  );
  const variables = Object.keys(desired.extraVariables).filter(
    (key) =>
      !Object.hasOwn(earlier.extraVariables, key) && (present.extraVariables === undefined || Object.hasOwn(present.extraVariables, key)),
  );
  return [...features.map(({ feature }) => `feature control "${feature}"`), ...variables.map((key) => `variable "${key}"`)];
}
