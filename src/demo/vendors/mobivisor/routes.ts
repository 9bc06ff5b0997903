import type { Json } from '../../../wire/text/json.ts';
import type { VendorRequest, VendorResponse } from '../vendor-server.ts';
import {
  type Account,
  addGroup,
  type CommandRecord,
  type FeatureControl,
  type Fields,
  type ManagedDevice,
  newMongoId,
  settle,
} from './account.ts';

/** Where the published facts leave the platform's behaviour open, a server takes one of the possible sides. */
export type Sides = {
  /** The list of devices stands bare, or under `devices`. */
  list: 'bare' | 'wrapped';
  /** The list of devices heeds `page` and `per_page`, or always answers all. */
  paging: 'honoured' | 'ignored';
  idKey: '_id' | 'id';
  /** New variables join those that are there, or replace all of them. */
  variables: 'merge' | 'replace';
  /** `GET devices/{id}` shows feature controls and variables. */
  showsConfiguration: boolean;
  /** `GET mobileapps/{id}` and `GET groups/{id}` answer. */
  readsApps: boolean;
  /** The app object stands at the root, or under `app`. */
  app: 'bare' | 'wrapped';
  /** Form of the answers to writes. `json` for a command: its record. */
  answers: 'json' | 'string' | 'text' | 'empty';
  errors: 'json' | 'text';
};

export const USUAL_SIDES: Sides = {
  list: 'wrapped',
  paging: 'honoured',
  idKey: '_id',
  variables: 'merge',
  showsConfiguration: true,
  readsApps: true,
  app: 'bare',
  answers: 'json',
  errors: 'json',
};

type Context = { account: Account; sides: Sides; request: VendorRequest; ids: string[] };
type Route = [method: string, path: RegExp, answer: (context: Context) => VendorResponse];

/** Answers a request whose token is valid. */
export function answerOf(account: Account, sides: Sides, request: VendorRequest): VendorResponse {
  for (const [method, path, answer] of ROUTES) {
    const match = method === request.method ? path.exec(request.path) : null;
    if (match !== null) return answer({ account, sides, request, ids: match.slice(1) });
  }
  return refusal(sides, 404, `Cannot ${request.method} ${request.path}`);
}

export function refusal({ errors }: Sides, status: number, message: string): VendorResponse {
  return { status, body: errors === 'json' ? { message, status } : message };
}

const withDevice =
  (answer: (context: Context, device: ManagedDevice) => VendorResponse) =>
  (context: Context): VendorResponse => {
    const device = context.account.devices.get(context.ids[0] ?? '');
    return device === undefined ? refusal(context.sides, 404, 'Device not found') : answer(context, device);
  };

/** The answer to a write that has no record of its own. */
function written({ answers }: Sides): VendorResponse {
  if (answers === 'empty') return { status: 204 };
  if (answers === 'text') return { status: 200, body: 'updated successfully' };
  return { status: 200, body: answers === 'string' ? '"updated successfully"' : { message: 'updated successfully' } };
}

const listDevices = ({ account, sides, request }: Context): VendorResponse => {
  const all = [...account.devices.values()].map((device) => ({ [sides.idKey]: device.id, ...device.fields }) as Fields);
  const [page, perPage] = [Number(request.query.get('page') ?? 0), Number(request.query.get('per_page') ?? all.length)];
  const shown = sides.paging === 'honoured' ? all.slice(page * perPage, (page + 1) * perPage) : all;
  return { status: 200, body: sides.list === 'bare' ? shown : { devices: shown } };
};

const showDevice = withDevice(({ sides }, { id, fields, runs }) => ({
  status: 200,
  body: { [sides.idKey]: id, ...fields, ...(sides.showsConfiguration ? (runs as unknown as Fields) : {}) },
}));

const deleteDevice = withDevice(({ account, sides }, { id }) => {
  account.devices.delete(id);
  return written(sides);
});

const text = (key: 'description' | 'imei') =>
  withDevice(({ sides, request }, device) => {
    const value = (request.body as Fields | undefined)?.[key];
    if (typeof value !== 'string' || value === '') return refusal(sides, 400, `${key} must be a non-empty string`);
    device.fields[key] = value;
    return written(sides);
  });

const putFeatureControls = withDevice(({ account, sides, request }, device) => {
  const controls = request.body as FeatureControl[] | undefined;
  const isValid = (one: FeatureControl) =>
    typeof one.feature === 'string' && (typeof one.booleanValue === 'boolean' || typeof one.numberValue === 'number');
  if (!Array.isArray(controls) || controls.length === 0 || !controls.every(isValid))
    return refusal(sides, 400, 'featureControls must be a non-empty array with a value each');
  device.wanted.featureControls = controls;
  settle(account, device);
  return written(sides);
});

const putExtraVariables = withDevice(({ account, sides, request }, device) => {
  const wanted = (request.body as { extraVariables?: Record<string, string> } | undefined)?.extraVariables;
  if (typeof wanted !== 'object' || wanted === null || Object.keys(wanted).length === 0)
    return refusal(sides, 400, 'extraVariables must have at least one key');
  device.wanted.extraVariables = sides.variables === 'merge' ? { ...device.wanted.extraVariables, ...wanted } : wanted;
  settle(account, device);
  return written(sides);
});

/** Display texts of the types of commands. */
const COMMANDS: Readonly<Record<string, string>> = {
  change_password_now: 'Change Password Now',
  update_settings: 'Update Settings',
  refresh_kiosk: 'Refresh Kiosk',
  pref_update: 'Pref Update',
  location_request: 'Location Request',
  status_request: 'Status Request',
  password_token_request: 'Password Token Request',
  fetch_system_apps: 'Fetch System Apps',
};

const putAction = withDevice(({ account, sides, request }, device) => {
  const {
    deviceId,
    commandType,
    commandData = {},
  } = (request.body ?? {}) as { deviceId?: string; commandType?: string; commandData?: Fields };
  if (deviceId !== device.id) return refusal(sides, 400, 'deviceId does not match the device of the path');
  const title = COMMANDS[commandType ?? ''];
  if (title === undefined) return refusal(sides, 400, `unknown commandType ${commandType}`);
  if (commandType === 'change_password_now' && typeof commandData.password !== 'string')
    return refusal(sides, 400, 'commandData.password is required');
  if (commandType === 'update_settings' && typeof commandData.sendApps !== 'boolean')
    return refusal(sides, 400, 'commandData.sendApps is required');
  const command = recordOf(device, title, commandType ?? '', commandData);
  const answer = { ...command };
  account.commands.push(command);
  settle(account, device);
  return sides.answers === 'json' ? { status: 201, body: answer } : written(sides);
});

function recordOf(device: ManagedDevice, commandType: string, oldFormat: string, commandData: Fields): CommandRecord {
  return {
    _id: newMongoId(),
    user: device.id,
    userName: device.fields.name ?? '',
    commandType,
    commandTypeOldFormat: oldFormat,
    commandData: JSON.stringify(commandData),
    environment: 'Android Enterprise',
    status: 'Not Sent',
    timeCreated: new Date().toISOString(),
    __v: 0,
  };
}

const listCommands = ({ account, sides, request: { query } }: Context): VendorResponse => {
  let filter: Fields;
  try {
    filter = JSON.parse(query.get('search') ?? '{}') as Fields;
  } catch {
    return refusal(sides, 400, 'search must be JSON');
  }
  const order = query.get('order') ?? 'timeCreated';
  const found = account.commands.filter((command) => Object.entries(filter).every(([key, value]) => command[key] === value));
  // The newest of equal times stands first, as it was added last.
  const sorted = found.sort((a, b) => String(a[order]).localeCompare(String(b[order])));
  if (query.get('reverse') === 'true') sorted.reverse();
  const [page, perPage] = [Number(query.get('page') ?? 0), Number(query.get('per_page') ?? 20)];
  return { status: 200, body: sorted.slice(page * perPage, (page + 1) * perPage) };
};

const showGroup = ({ account, sides, ids: [id = ''] }: Context): VendorResponse => {
  const group = sides.readsApps ? account.groups.get(id) : undefined;
  return group === undefined ? refusal(sides, 404, 'Group not found') : { status: 200, body: group };
};

const addApplications = ({ account, sides, request, ids: [id = ''] }: Context): VendorResponse => {
  const group = account.groups.get(id);
  if (group === undefined) return refusal(sides, 404, 'Group not found');
  const { appIds, appConfigs } = (request.body ?? {}) as { appIds?: string[]; appConfigs?: Json[] };
  if (!Array.isArray(appIds) || !Array.isArray(appConfigs)) return refusal(sides, 400, 'appIds and appConfigs must be arrays');
  group.applications = [...new Set([...group.applications, ...appIds])];
  return written(sides);
};

const createGroup = ({ account, sides, request }: Context): VendorResponse => {
  const { name } = (request.body ?? {}) as Fields;
  if (typeof name !== 'string' || name === '') return refusal(sides, 400, 'name is required');
  const group = account.groups.get(addGroup(account, name));
  return { status: 201, body: group };
};

/** Answers as MongoDB does. */
const deleteGroup = ({ account, ids: [id = ''] }: Context): VendorResponse => {
  const n = account.groups.delete(id) ? 1 : 0;
  return { status: 200, body: [{ ok: 1, n, opTime: { ts: '0', t: 1 } }] };
};

const addUsers = ({ account, sides, request, ids: [id = ''] }: Context): VendorResponse => {
  const group = account.groups.get(id);
  const { users } = (request.body ?? {}) as { users?: string[] };
  if (group === undefined) return refusal(sides, 404, 'Group not found');
  if (!Array.isArray(users)) return refusal(sides, 400, 'users must be an array');
  group.users = [...new Set([...group.users, ...users])];
  return written(sides);
};

const showApp = ({ account, sides, ids: [id = ''] }: Context): VendorResponse => {
  const app = sides.readsApps ? account.apps.get(id) : undefined;
  if (app === undefined) return refusal(sides, 404, 'App not found');
  return { status: 200, body: sides.app === 'bare' ? app : { app } };
};

/** Takes the whole object only: what is left out is lost. An object of another version is refused, as MongoDB's usual client does it. */
const putApp = ({ account, sides, request, ids: [id = ''] }: Context): VendorResponse => {
  const known = account.apps.get(id);
  if (known === undefined) return refusal(sides, 404, 'App not found');
  const sent = (request.body ?? {}) as Fields;
  const app = (sent.app ?? sent) as Fields;
  if (app._id !== id) return refusal(sides, 400, '_id does not match the app of the path');
  if (app.__v !== known.__v) return refusal(sides, 409, 'VersionError: the document has changed');
  const next = { ...app, __v: Number(known.__v) + 1 };
  account.apps.set(id, next);
  return { status: 200, body: sides.app === 'bare' ? next : { app: next } };
};

/** The shapes of both lists are guesses of the integrator. */
const listApps = withDevice((_context, { packages }) => ({
  status: 200,
  body: packages.map((one) => ({
    appName: one.name ?? '',
    packageName: one.package ?? '',
    version: one.versionName ?? '',
    managed: one.isSystemApp !== true,
  })),
}));

const removeEnterpriseApp = withDevice(({ sides, ids: [, packageId] }, device) => {
  device.packages = device.packages.filter((one) => one.package !== packageId);
  return written(sides);
});

const systemAppsOfModel = ({ account, sides, ids: [model, version] }: Context): VendorResponse => {
  const device = [...account.devices.values()].find(({ fields }) => fields.model === model && fields.osVersion === version);
  if (device === undefined) return refusal(sides, 404, 'Model not found');
  return { status: 200, body: device.packages.filter((one) => one.isSystemApp === true) };
};

const ROUTES: readonly Route[] = [
  ['GET', /^\/devices$/, listDevices],
  ['GET', /^\/devices\/fetchSystemApps\/model\/([^/]+)\/version\/([^/]+)$/, systemAppsOfModel],
  ['GET', /^\/devices\/([^/]+)$/, showDevice],
  ['DELETE', /^\/devices\/([^/]+)$/, deleteDevice],
  ['DELETE', /^\/devices\/([^/]+)\/logins$/, withDevice(() => ({ status: 204 }))],
  // The address enrols devices: a secret.
  [
    'GET',
    /^\/devices\/([^/]+)\/mdmProfileUrl$/,
    withDevice((_context, { id }) => ({ status: 200, body: `"https://tenant.example/enrol/${id}?secret=9f2c"` })),
  ],
  ['GET', /^\/devices\/([^/]+)\/allInstalledPackages$/, withDevice((_context, { packages }) => ({ status: 200, body: packages }))],
  ['GET', /^\/devices\/([^/]+)\/policies$/, withDevice((_context, { policies }) => ({ status: 200, body: { policies } }))],
  ['GET', /^\/devices\/([^/]+)\/(?:managedApps|applications)$/, listApps],
  ['DELETE', /^\/devices\/([^/]+)\/enterpriseApp\/([^/]+)$/, removeEnterpriseApp],
  ['PUT', /^\/devices\/([^/]+)\/featureControls$/, putFeatureControls],
  ['PUT', /^\/devices\/([^/]+)\/description$/, text('description')],
  ['PUT', /^\/devices\/([^/]+)\/imei$/, text('imei')],
  ['PUT', /^\/devices\/([^/]+)\/extraVariables$/, putExtraVariables],
  ['PUT', /^\/devices\/([^/]+)\/actions$/, putAction],
  ['GET', /^\/devicescommands$/, listCommands],
  ['GET', /^\/groups$/, ({ account }) => ({ status: 200, body: [...account.groups.values()] })],
  ['POST', /^\/groups$/, createGroup],
  ['GET', /^\/groups\/([^/]+)$/, showGroup],
  ['DELETE', /^\/groups\/([^/]+)$/, deleteGroup],
  ['PUT', /^\/groups\/([^/]+)\/users$/, addUsers],
  ['PUT', /^\/groups\/([^/]+)\/applications$/, addApplications],
  ['GET', /^\/mobileapps\/([^/]+)$/, showApp],
  ['PUT', /^\/mobileapps\/([^/]+)$/, putApp],
];
