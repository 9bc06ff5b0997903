import type { Json } from '../../../wire/text/json.ts';
import { type DeviceBehaviour, serveVendor, type VendorRequest, type VendorResponse, type VendorServer } from '../vendor-server.ts';
import { GRPC, notFound, ok, problem, type Route } from './answer.ts';
import { DEVICE_ROUTES } from './devices.ts';
import { LIGHTDB_ROUTES } from './lightdb.ts';
import { ORGANIZATION_ROUTES, PROJECT_ROUTES } from './ota.ts';
import { SETTING_ROUTES } from './settings.ts';
import {
  addDevice,
  createProject,
  type Fields,
  type GoliothDevice,
  newId,
  nowText,
  type Project,
  playDevice,
  playUpdate,
  removeDevice,
  type Setting,
  tick,
} from './state.ts';

/** Plays Golioth's Management API for one project, and the devices behind it. */
export type GoliothServer = VendorServer & {
  project: Project;
  /** Adds a key at the project's level, without which no device has it. */
  addSetting(key: string, dataType: Setting['dataType'], value: Json): void;
  addTag(name: string): string;
  addCohort(name: string): string;
  /** @returns the artifact's id */
  addArtifact(packageId: string, version: string): string;
  device(externalId: string): GoliothDevice;
};

export type GoliothOptions = { port?: number; latencyMs?: number; devices?: number };

export async function openGolioth(options: GoliothOptions = {}): Promise<GoliothServer> {
  const project = createProject();
  for (let n = 0; n < (options.devices ?? 0); n += 1) {
    const device = addDevice(project, { name: `meter-${n}` });
    device.tree = { reported: { firmware: '1.0.0', battery: 90 } };
    device.lastReport = device.createdAt;
    device.lastSeenOnline = device.createdAt;
  }
  const served = await serveVendor((request) => answer(project, request), { port: options.port, latencyMs: options.latencyMs });
  const device = (externalId: string): GoliothDevice => {
    const found = project.devices.get(externalId);
    if (found === undefined) throw new Error(`Cannot find device "${externalId}" of the played project`);
    return found;
  };
  return {
    ...served,
    project,
    settings: { projectId: project.id, apiUrl: `${served.url}/v1` },
    credentials: { apiKey: project.apiKey },
    addDevice: ({ name, values = {}, state, online = true }) => addByConsole(project, { name, values, state, online }),
    removeDevice: (externalId) => void removeDevice(project, externalId),
    change: (externalId, values) => changeByConsole(project, device(externalId), values),
    shown: (externalId) => {
      const found = project.devices.get(externalId);
      return found === undefined ? undefined : shownByConsole(project, found);
    },
    behave: (externalId, behaviour: DeviceBehaviour) => {
      device(externalId).behaviour = behaviour;
      playDevice(project, device(externalId));
      playUpdate(project, device(externalId));
    },
    addSetting: (key, dataType, value) => {
      const now = tick(project);
      project.settings.push({ id: newId(), key, dataType, value, createdAt: now, updatedAt: now });
    },
    addTag: (name) => tagOf(project, name),
    addCohort: (name) => {
      const cohort = { cohortId: newId(), name };
      project.cohorts.set(cohort.cohortId, cohort);
      return cohort.cohortId;
    },
    addArtifact: (packageId, version) => {
      const id = newId();
      project.artifacts.set(id, { id, package: packageId, version });
      return id;
    },
    device,
  };
}

type ConsoleDevice = { name: string; values: Fields; state: Json | undefined; online: boolean };

function addByConsole(project: Project, { name, values, state, online }: ConsoleDevice): string {
  const device = addDevice(project, { name });
  changeByConsole(project, device, values);
  if (state !== undefined) device.tree = { reported: state };
  device.behaviour = { offline: !online };
  playDevice(project, device);
  return device.id;
}

function tagOf(project: Project, name: string): string {
  const known = [...project.tags.values()].find((tag) => tag.name === name);
  const id = known?.id ?? newId();
  project.tags.set(id, { id, name });
  return id;
}

/** In the provider's fields: tags by their names. */
function changeByConsole(project: Project, device: GoliothDevice, values: Fields): void {
  if (typeof values.name === 'string') device.name = values.name;
  if (typeof values.enabled === 'boolean') device.enabled = values.enabled;
  if (Array.isArray(values.tags)) device.tagIds = values.tags.map((name) => tagOf(project, String(name)));
  device.updatedAt = nowText();
}

function shownByConsole(project: Project, device: GoliothDevice): Fields {
  const tags = device.tagIds.map((id) => project.tags.get(id)?.name ?? id).sort();
  return { name: device.name, enabled: device.enabled, tags };
}

const ROOTS: readonly (readonly [root: RegExp, routes: readonly Route[]])[] = [
  [/^\/v1\/projects\/([^/]+)\/(.+)$/, [...DEVICE_ROUTES, ...LIGHTDB_ROUTES, ...SETTING_ROUTES, ...PROJECT_ROUTES]],
  [/^\/v1\/organizations\/[^/]+\/projects\/([^/]+)\/(.+)$/, ORGANIZATION_ROUTES],
];

function answer(project: Project, request: VendorRequest): VendorResponse {
  const { 'x-api-key': key, authorization } = request.headers;
  if (key !== project.apiKey && authorization !== `Bearer ${project.apiKey}`)
    return problem(401, GRPC.unauthenticated, 'request is not authenticated');
  if (request.method === 'GET' && request.path === `/v1/projects/${project.id}`)
    return ok({ id: project.id, name: project.name, organizationId: project.organizationId });
  for (const [root, routes] of ROOTS) {
    const [, projectId, path = ''] = root.exec(request.path) ?? [];
    if (projectId === undefined) continue;
    if (projectId !== project.id) return problem(403, GRPC.denied, 'the key belongs to another project');
    for (const [method, pattern, handle] of routes) {
      const found = method === request.method ? pattern.exec(path) : null;
      if (found !== null) return handle({ project, request, ids: found.slice(1).map((id) => id ?? '') });
    }
  }
  return notFound('path');
}
