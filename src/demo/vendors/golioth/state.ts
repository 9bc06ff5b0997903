import { randomBytes } from 'node:crypto';
import type { Json } from '../../../wire/text/json.ts';
import type { DeviceBehaviour } from '../vendor-server.ts';

/** The data of one project, as the platform holds it, and the devices behind it. */

export type Fields = { [key: string]: Json };

export type GoliothDevice = {
  id: string;
  name: string;
  hardwareIds: string[];
  tagIds: string[];
  blueprintId?: string;
  cohortId?: string;
  certificateId?: string;
  enabled: boolean;
  createdAt: string;
  updatedAt: string;
  /** LightDB State. */
  tree: Fields;
  lastReport?: string;
  lastSeenOnline?: string;
  settingsStatus?: Json;
  /** When an override of the device was last changed or deleted: a deletion is a new version, too. */
  lastOverrideMs?: number;
  /** Version of each package that it runs. */
  versions?: Record<string, string>;
  behaviour: DeviceBehaviour;
};

export type Setting = {
  id: string;
  key: string;
  dataType: 'string' | 'integer' | 'float' | 'boolean';
  value: Json;
  deviceId?: string;
  blueprintId?: string;
  createdAt: string;
  updatedAt: string;
};

export type Named = { id: string; name: string };
export type Cohort = { cohortId: string; name: string; activeDeploymentId?: string };
export type Artifact = { id: string; package: string; version: string; blueprintId?: string };
export type Deployment = { deploymentId: string; cohortId: string; name: string; artifactIds: string[]; createdAt: string };
export type OtaEvent = {
  timestamp: string;
  deviceId: string;
  packageId: string;
  eventType: string;
  status: number;
  currentVersion: string;
  targetVersion: string;
  message: string;
};

export type Project = {
  id: string;
  name: string;
  organizationId: string;
  apiKey: string;
  devices: Map<string, GoliothDevice>;
  /** Ids in the order of the list. */
  order: string[];
  settings: Setting[];
  tags: Map<string, Named>;
  blueprints: Map<string, Named>;
  cohorts: Map<string, Cohort>;
  artifacts: Map<string, Artifact>;
  deployments: Map<string, Deployment>;
  events: OtaEvent[];
  /** The newest of its times: two changes never have the same one. */
  clockMs: number;
};

/** 24 hexadecimal digits, as the platform's ids are. */
export function newId(): string {
  return randomBytes(12).toString('hex');
}

export function createProject(): Project {
  return {
    ...{ id: 'fleet', name: 'Fleet', organizationId: 'acme', apiKey: `key-${newId()}` },
    ...{ devices: new Map(), order: [], settings: [], tags: new Map(), blueprints: new Map(), cohorts: new Map() },
    ...{ artifacts: new Map(), deployments: new Map(), events: [], clockMs: 0 },
  };
}

/** The present time. Only changes of settings and events need one that is later than all before: 100,000 devices would move it far into the future. */
export function nowText(): string {
  return new Date().toISOString();
}

/** The present time; later than every one before. */
export function tick(project: Project): string {
  project.clockMs = Math.max(Date.now(), project.clockMs + 1);
  return new Date(project.clockMs).toISOString();
}

export function addDevice(project: Project, wanted: Partial<GoliothDevice> & { name: string }): GoliothDevice {
  const now = nowText();
  const device: GoliothDevice = {
    ...{ id: newId(), hardwareIds: [`hw-${newId()}`], tagIds: [], enabled: true, createdAt: now, updatedAt: now, tree: {}, behaviour: {} },
    ...wanted,
  };
  project.devices.set(device.id, device);
  project.order.push(device.id);
  return device;
}

/** A device that appears by itself, by its certificate: it is named after it, with a random suffix when the name is taken. */
export function provision(project: Project, certificateId: string): GoliothDevice {
  const isTaken = [...project.devices.values()].some(({ name }) => name === certificateId);
  const name = isTaken ? `${certificateId}-${newId().slice(0, 6)}` : certificateId;
  return addDevice(project, { name, certificateId, lastSeenOnline: tick(project) });
}

export function removeDevice(project: Project, id: string): boolean {
  project.order = project.order.filter((other) => other !== id);
  project.settings = project.settings.filter(({ deviceId }) => deviceId !== id);
  return project.devices.delete(id);
}

/** The settings that reach the device: its own, else its blueprint's, else the project's. */
export function effectiveSettings(project: Project, device: GoliothDevice): Setting[] {
  const found = new Map<string, Setting>();
  const rank = ({ deviceId, blueprintId }: Setting) => (deviceId !== undefined ? 2 : blueprintId !== undefined ? 1 : 0);
  for (const setting of project.settings) {
    if (setting.deviceId !== undefined && setting.deviceId !== device.id) continue;
    if (setting.blueprintId !== undefined && setting.blueprintId !== device.blueprintId) continue;
    const before = found.get(setting.key);
    if (before === undefined || rank(setting) > rank(before)) found.set(setting.key, setting);
  }
  return [...found.values()].sort((a, b) => a.key.localeCompare(b.key));
}

/** The device fetches its settings and state: it reports a verdict for each key, and copies the desired state into its report. */
export function playDevice(project: Project, device: GoliothDevice): void {
  const { behaviour } = device;
  if (behaviour.offline === true) return;
  const now = nowText();
  device.lastReport = now;
  device.lastSeenOnline = now;
  const settings = effectiveSettings(project, device);
  const errors = settings.filter(({ key }) => behaviour.refuses?.includes(key)).map(({ key }) => verdictOf(key));
  const newest = Math.max(0, ...settings.map(({ updatedAt }) => Date.parse(updatedAt)));
  device.settingsStatus =
    settings.length === 0
      ? { status: 'no-settings', syncTime: now }
      : {
          status: errors.length === 0 ? 'in-sync' : 'out-of-sync',
          reportedVersion: String(Math.max(newest, device.lastOverrideMs ?? 0)),
          syncTime: now,
          ...(errors.length === 0 ? {} : { statusDetail: 'the device rejected settings', errors }),
        };
  const { desired } = device.tree;
  if (desired === undefined || behaviour.fails === true) return;
  device.tree.reported = { ...(isFields(device.tree.reported) ? device.tree.reported : {}), ...(isFields(desired) ? desired : {}) };
}

/** The device takes the deployment of its cohort and reports each step. One that fails ends with reason 8. */
export function playUpdate(project: Project, device: GoliothDevice): void {
  const deployment = project.deployments.get(project.cohorts.get(device.cohortId ?? '')?.activeDeploymentId ?? '');
  if (device.behaviour.offline === true || deployment === undefined) return;
  for (const id of deployment.artifactIds) {
    const artifact = project.artifacts.get(id);
    if (artifact === undefined) continue;
    const { package: packageId, version: targetVersion } = artifact;
    const report = (eventType: string, status: number, currentVersion: string) =>
      project.events.push({
        timestamp: tick(project),
        deviceId: device.id,
        packageId,
        eventType,
        status,
        currentVersion,
        targetVersion,
        message: '',
      });
    const before = device.versions?.[packageId] ?? '0.0.0';
    if (before === targetVersion) continue;
    for (const step of ['DOWNLOADING', 'DOWNLOADED', 'UPDATING']) report(step, 0, before);
    if (device.behaviour.fails === true) report('IDLE', 8, before);
    else {
      report('IDLE', 1, targetVersion);
      device.versions = { ...device.versions, [packageId]: targetVersion };
    }
  }
}

/** Code 4: the value is out of its range. */
function verdictOf(key: string): Fields {
  return { key, code: 4, codeDescription: 'value out of range', deviceDetails: 'must be within the limits of the device' };
}

export function isFields(value: Json | undefined): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
