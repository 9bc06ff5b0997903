import { randomBytes } from 'node:crypto';
import type { Json } from '../../../wire/text/json.ts';
import type { DeviceBehaviour } from '../vendor-server.ts';

export type Fields = Record<string, Json>;

/** A setting of a device's hardware or system; exactly one of the two values is there. */
export type FeatureControl = { feature: string; booleanValue?: boolean; numberValue?: number };

/** Settings of a device. */
type Configuration = { featureControls: FeatureControl[]; extraVariables: Record<string, string> };

export type ManagedDevice = {
  id: string;
  fields: Fields;
  /** As the platform was asked to set it. */
  wanted: Configuration;
  /** As the device has taken it. */
  runs: Configuration;
  behaviour: DeviceBehaviour;
  packages: Fields[];
  policies: Fields[];
};

/** As the platform shows a command: `commandType` is display text, `commandData` is JSON in a string. */
export type CommandRecord = Fields & { _id: string; user: string; commandTypeOldFormat: string; status: string; timeCreated: string };

export type Group = { _id: string; name: string; applications: string[]; users: string[] };

/** A tenant of the platform, with the devices behind it. */
export type Account = {
  devices: Map<string, ManagedDevice>;
  commands: CommandRecord[];
  groups: Map<string, Group>;
  /** Whole app objects. */
  apps: Map<string, Fields>;
};

export function createAccount(): Account {
  return { devices: new Map(), commands: [], groups: new Map(), apps: new Map() };
}

/** @returns 24 hex digits, as MongoDB makes them */
export function newMongoId(): string {
  return randomBytes(12).toString('hex');
}

export function addDevice(account: Account, device: { name: string; values?: Fields | undefined; online?: boolean | undefined }): string {
  const id = newMongoId();
  account.devices.set(id, {
    id,
    fields: {
      name: device.name,
      status: device.online === false ? 'Offline' : 'Online',
      environment: 'Android Enterprise',
      ...device.values,
    },
    wanted: { featureControls: [], extraVariables: {} },
    runs: { featureControls: [], extraVariables: {} },
    behaviour: {},
    packages: [installed('com.android.settings', 'Settings', true), installed('com.example.pos', 'Point of Sale', false)],
    policies: [{ id: newMongoId(), name: 'Baseline', enabled: true }],
  });
  return id;
}

function installed(name: string, title: string, isSystemApp: boolean): Fields {
  return {
    _id: newMongoId(),
    package: name,
    name: title,
    versionName: '4.2.0',
    versionCode: 420,
    isSystemApp,
    installTime: '2026-01-05T08:00:00.000Z',
  };
}

export function addApp(account: Account, app: { name: string; package: string; managedConfig?: Json[] }): string {
  const id = newMongoId();
  account.apps.set(id, {
    _id: id,
    appName: app.name,
    appPackageName: app.package,
    versionCode: 420,
    versionName: '4.2.0',
    environment: 'Android Enterprise',
    environmentEnhanced: 'android_enterprise',
    fileOrStore: 'store',
    autoInstall: true,
    silentInstallAfterSignin: false,
    managedConfig: app.managedConfig ?? [],
    managementFlags: { removeAppOnMDMRemoval: true },
    localFilePath: '',
    image_url: '',
    appSize: 1_048_576,
    createdAt: '2026-01-05T08:00:00.000Z',
    createdAtStamp: 1_767_600_000_000,
    isChecked: false,
    description: '',
    __v: 3,
  });
  return id;
}

export function addGroup(account: Account, name: string): string {
  const id = newMongoId();
  account.groups.set(id, { _id: id, name, applications: [], users: [] });
  return id;
}

/** The device takes its configuration and runs its commands, as far as its behaviour allows. */
export function settle(account: Account, device: ManagedDevice): void {
  const { offline, fails, refuses = [] } = device.behaviour;
  if (offline) return;
  const mine = account.commands.filter((command) => command.user === device.id && command.status === 'Not Sent');
  for (const command of mine) command.status = fails ? 'Failed' : 'Done';
  if (fails) return;
  const { featureControls, extraVariables } = device.wanted;
  const taken = featureControls.filter(({ feature }) => !refuses.includes(feature));
  // A feature that a list leaves out keeps its value.
  const kept = device.runs.featureControls.filter(({ feature }) => !taken.some((control) => control.feature === feature));
  const refused = Object.entries(device.runs.extraVariables).filter(([key]) => refuses.includes(key));
  device.runs = {
    featureControls: [...kept, ...taken].sort((a, b) => a.feature.localeCompare(b.feature)),
    extraVariables: Object.fromEntries([...Object.entries(extraVariables).filter(([key]) => !refuses.includes(key)), ...refused]),
  };
}
