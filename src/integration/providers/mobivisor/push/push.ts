import type { Json } from '../../../../wire/text/json.ts';
import type { VendorApi } from '../../../api.ts';
import type { PreparedPush, Push, PushConfiguration, PushTarget } from '../../../provider.ts';
import { pathOf } from '../answers.ts';
import { readRecord } from '../devices.ts';
import { changeManagedConfig, readManagedConfig, withValues } from './apps.ts';
import { type Backup, keptOf, listsOf } from './backup.ts';
import { cancel } from './cancel.ts';
import { Desired, desiredOf, joined } from './document.ts';
import { sendSettings } from './send.ts';
import { shownApplications, shownSettings } from './shown.ts';
import { isShown, Receipt, type VerifyOptions, verify } from './verify.ts';

/**
 * Sends feature controls, variables, group applications and managed configuration. No call that reads them back is proven: a part counts as applied
 * when the device's record, its installed packages or its command history show it, and as unverified otherwise.
 */
export function createPush(api: VendorApi, options: VerifyOptions): Push {
  return {
    prepare: (target, configuration, signal) => prepare(api, target, configuration, signal),
    apply: (target, prepared, token, signal) => apply(api, target, Desired.parse(prepared.desired), token, signal),
    verify: (target, prepared, receipt, _token, signal) =>
      verify(api, options, target, Desired.parse(prepared.desired), Receipt.parse(receipt), signal),
    cancel: (target, prepared, _receipt, signal) => cancel(api, target, prepared, signal),
  };
}

/** Reads before it decides, so that nothing is changed when the platform lacks the device or an app. */
async function prepare(
  api: VendorApi,
  { externalId }: PushTarget,
  { document }: PushConfiguration,
  signal: AbortSignal,
): Promise<PreparedPush> {
  const wanted = desiredOf(document);
  const record = await readRecord(api, externalId, signal);
  const { featureControls, extraVariables } = shownSettings(record);
  const backup: Backup = { featureControls, extraVariables, groupApplications: [], managedConfig: [] };
  for (const { app } of wanted.managedConfig) backup.managedConfig.push({ app, entries: await readManagedConfig(api, app, signal) });
  for (const { group } of wanted.groupApplications) {
    const apps = await shownApplications(api, group, signal);
    if (apps !== undefined) backup.groupApplications.push({ group, apps });
  }
  const isBlind = featureControls === undefined && extraVariables === undefined;
  const isEmpty = isBlind && backup.groupApplications.length + backup.managedConfig.length === 0;
  return {
    desired: plain(wanted),
    previous: isEmpty ? null : plain(backup),
    isUnchanged: isThere(wanted, backup),
  };
}

/** A copy without members that are undefined. */
function plain(value: Desired | Backup): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}

/** Whether every part is shown with its wanted value. The managed configuration of an app shows no device's state, so that it is written again. */
function isThere(desired: Desired, backup: Backup): boolean {
  return (
    desired.featureControls.every((control) => isShown(control, backup.featureControls ?? [])) &&
    Object.entries(desired.extraVariables).every(([key, value]) => backup.extraVariables?.[key] === value) &&
    desired.groupApplications.length + desired.managedConfig.length === 0
  );
}

/**
 * Each part is idempotent, so that a step that was cut off can be repeated. It also sends the other settings that the device shows, unchanged: nobody
 * knows whether the platform drops settings that a list leaves out.
 */
async function apply(api: VendorApi, { externalId }: PushTarget, desired: Desired, token: string, signal: AbortSignal): Promise<Json> {
  const shown = shownSettings(await readRecord(api, externalId, signal));
  const sentAt = new Date().toISOString();
  const commands = await sendSettings(api, externalId, listsOf(desired, joined(keptOf(desired, shown), desired)), signal);
  for (const { group, apps } of desired.groupApplications) {
    const path = pathOf`/groups/${group}/applications`;
    await api.send({ doing: `add applications to group "${group}"`, method: 'PUT', path, body: { appIds: apps, appConfigs: [] }, signal });
  }
  for (const { app, values } of desired.managedConfig)
    await changeManagedConfig(api, app, (entries) => withValues(entries, values), signal);
  return { sentAt, commands, token };
}
