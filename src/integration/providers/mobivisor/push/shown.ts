import { isProblem } from '../../../../errors.ts';
import type { Json } from '../../../../wire/text/json.ts';
import type { VendorApi, VendorCall } from '../../../api.ts';
import { type Fields, idOf, isFields, pathOf, readList, readObject } from '../answers.ts';
import { controlOf, type FeatureControl, type Settings } from './document.ts';

/** Reads back what can be read back. No call for it is proven, so that every part may be missing. */

/** Feature controls and variables, each left out where the device's record does not show it. */
export function shownSettings(record: Fields): Partial<Settings> {
  return { featureControls: shownFeatureControls(record), extraVariables: shownVariables(record) };
}

function shownFeatureControls({ featureControls }: Fields): FeatureControl[] | undefined {
  if (!Array.isArray(featureControls)) return undefined;
  return featureControls.filter(isFields).flatMap((control) => {
    const { feature } = control;
    const value = [control.booleanValue, control.numberValue, control.value].find(
      (one) => typeof one === 'boolean' || typeof one === 'number',
    );
    return typeof feature === 'string' && value !== undefined ? [controlOf(feature, value as boolean | number)] : [];
  });
}

function shownVariables({ extraVariables }: Fields): Record<string, string> | undefined {
  if (!isFields(extraVariables)) return undefined;
  return Object.fromEntries(Object.entries(extraVariables).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

/** Ids of the group's applications, undefined where the platform does not show them. */
export async function shownApplications(api: VendorApi, group: string, signal: AbortSignal): Promise<string[] | undefined> {
  const call = { doing: `read group "${group}"`, method: 'GET', path: pathOf`/groups/${group}`, signal } as const;
  const body = await readIfShown(api, call);
  const { applications } = isFields(body.group) ? body.group : body;
  if (!Array.isArray(applications)) return undefined;
  return applications.flatMap((one: Json) => {
    const id = typeof one === 'string' ? one : isFields(one) ? idOf(one) : undefined;
    return id === undefined ? [] : [id];
  });
}

/** The packages that are installed on a device. This call is proven. */
export async function installedPackages(api: VendorApi, externalId: string, signal: AbortSignal): Promise<Fields[]> {
  const path = pathOf`/devices/${externalId}/allInstalledPackages`;
  return readList(api, { doing: 'read the installed packages of the device', method: 'GET', path, signal }, 'packages');
}

/** @returns the package name of an app; undefined where the platform does not show the app */
export async function packageOf(api: VendorApi, app: string, signal: AbortSignal): Promise<string | undefined> {
  const call = { doing: `read app "${app}"`, method: 'GET', path: pathOf`/mobileapps/${app}`, signal } as const;
  const body = await readIfShown(api, call);
  const { appPackageName } = isFields(body.app) ? body.app : body;
  return typeof appPackageName === 'string' ? appPackageName : undefined;
}

/** @returns an empty object where the platform has no such call, or another one */
async function readIfShown(api: VendorApi, call: VendorCall): Promise<Fields> {
  try {
    return await readObject(api, call);
  } catch (error) {
    if (isProblem(error, 'integration_not_found', 'integration_protocol')) return {};
    throw error;
  }
}
