import { z } from 'zod';
import { REDACTED } from '../../../revision/secret/secret.ts';
import { withoutSecrets } from '../../../revision/secret/value.ts';
import type { Json } from '../../../wire/text/json.ts';
import type { VendorApi } from '../../api.ts';
import { integrationProblem } from '../../problems.ts';
import type { PushTarget, ViewTraits } from '../../provider.ts';
import { type Fields, idOf, pathOf, readList } from './answers.ts';
import { type CommandRecord, isHidden, readHistory } from './commands.ts';
import { readRecord } from './devices.ts';
import { installedPackages } from './push/shown.ts';

/** Read-only views of a device. Secrets that the answers carry are replaced. */
export const VIEWS = {
  policies: { title: 'Policies', cacheSeconds: 60 },
  'installed-apps': { title: 'Installed apps', cacheSeconds: 300 },
  'system-apps': { title: 'System apps', cacheSeconds: 3_600 },
  kiosk: { title: 'Kiosk mode', cacheSeconds: 60 },
  commands: { title: 'Command history', cacheSeconds: 10 },
} as const satisfies Record<string, ViewTraits>;

type Query = Readonly<Record<string, string>>;
type View = (api: VendorApi, target: PushTarget, query: Query, signal: AbortSignal) => Promise<Json>;

export async function showView(api: VendorApi, name: string, target: PushTarget, query: Query, signal: AbortSignal): Promise<Json> {
  if (!Object.hasOwn(READERS, name))
    throw integrationProblem(
      'integration_unsupported',
      `Cannot show view "${name}": Mobivisor has the views ${Object.keys(VIEWS).join(', ')}`,
    );
  return hidden(withoutSecrets(await READERS[name as keyof typeof VIEWS](api, target, query, signal)) as Json);
}

/** Members that reveal a place or enrol a device, which no general rule knows as secrets. */
const HIDDEN = /^(?:mdmProfileUrl|latitude|longitude|lat|lng|lon|gps|coordinates|locations?|lastLocation|address)$/i;

function hidden(value: Json): Json {
  if (Array.isArray(value)) return value.map(hidden);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, HIDDEN.test(name) ? REDACTED : hidden(inner)]));
}

/** A member of another kind than expected counts as missing, since hardly any shape of an answer is proven. */
const text = z
  .union([z.string(), z.number().transform(String)])
  .optional()
  .catch(undefined);
const flag = z.boolean().optional().catch(undefined);
const Policy = z.object({ id: text, name: text, enabled: flag });
const App = z.object({ package: text, name: text, versionName: text, versionCode: text, isSystemApp: flag, installTime: text });

const policies: View = async (api, { externalId }, _query, signal) => {
  const path = pathOf`/devices/${externalId}/policies`;
  const list = await readList(api, { doing: 'read the policies of the device', method: 'GET', path, signal }, 'policies');
  return { policies: list.map((policy) => compact(Policy.parse({ ...policy, id: idOf(policy) }))) };
};

const installedApps: View = async (api, { externalId }, _query, signal) => ({
  apps: (await installedPackages(api, externalId, signal)).map(toApp),
});

/** The call needs the model and the version of the system. Without them, the installed packages say which of them belong to the system. */
const systemApps: View = async (api, { externalId }, query, signal) => {
  const record = query.model === undefined || query.version === undefined ? await readRecord(api, externalId, signal) : {};
  const [model, version] = [query.model ?? record.model, query.version ?? record.osVersion];
  if (typeof model !== 'string' || typeof version !== 'string') {
    const installed = await installedPackages(api, externalId, signal);
    return { model: null, version: null, apps: installed.filter((one) => one.isSystemApp === true).map(toApp) };
  }
  const path = pathOf`/devices/fetchSystemApps/model/${model}/version/${version}`;
  const list = await readList(api, { doing: 'read the system apps of the model', method: 'GET', path, signal }, 'systemApps');
  return { model, version, apps: list.map(toApp) };
};

/** The platform has no call for the kiosk mode: its traces are members of the device's record, and the commands that refresh it. */
const kiosk: View = async (api, { externalId }, _query, signal) => {
  const record = await readRecord(api, externalId, signal);
  const { mine } = await readHistory(api, externalId, { page: 0, perPage: 100 }, signal);
  return {
    settings: Object.fromEntries(Object.entries(record).filter(([name]) => /kiosk/i.test(name))),
    refreshes: mine.filter(({ type }) => type === 'refresh_kiosk').map(toCommand),
  };
};

const Paging = z.object({
  page: z.coerce.number().int().min(0).max(10_000).default(0),
  per_page: z.coerce.number().int().min(1).max(100).default(20),
});

const commands: View = async (api, { externalId }, query, signal) => {
  const paging = Paging.safeParse(query);
  if (!paging.success)
    throw integrationProblem(
      'integration_rejected',
      'Cannot show the command history: page must be 0 to 10000, and per_page must be 1 to 100',
    );
  const { page, per_page: perPage } = paging.data;
  const { mine } = await readHistory(api, externalId, { page, perPage }, signal);
  return { page, perPage, commands: mine.map(toCommand) };
};

const READERS: Readonly<Record<keyof typeof VIEWS, View>> = {
  policies,
  'installed-apps': installedApps,
  'system-apps': systemApps,
  kiosk,
  commands,
};

function toApp(record: Fields): Json {
  return compact(App.parse({ ...record, package: record.package ?? record.packageName, name: record.name ?? record.appName }));
}

/** `status` is the platform's own text. Members that are not known are left out, as they may hold the command's result. */
function toCommand({ id, type, title, status, data, createdAt }: CommandRecord): Json {
  const shown = isHidden(type) ? REDACTED : data;
  return compact({ id, type, title, status, data: shown, createdAt });
}

/** A copy without members that are undefined. */
function compact(record: Readonly<Record<string, Json | undefined>>): Json {
  return Object.fromEntries(Object.entries(record).filter((entry): entry is [string, Json] => entry[1] !== undefined));
}
