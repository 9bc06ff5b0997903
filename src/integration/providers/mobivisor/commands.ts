import { z } from 'zod';
import { isProblem, Problem } from '../../../errors.ts';
import { issueText } from '../../../wire/names.ts';
import type { Json } from '../../../wire/text/json.ts';
import type { VendorApi } from '../../api.ts';
import { integrationProblem } from '../../problems.ts';
import type { CommandOutcome, PushTarget, VendorCommand } from '../../provider.ts';
import { type Fields, idOf, isFields, pathOf, readList } from './answers.ts';

/** The commands that the platform knows, with the schema of their `commandData`. A member that is not used is left out. */
export const ACTIONS = {
  change_password_now: z.strictObject({ password: z.string().min(1).max(200) }),
  update_settings: z.strictObject({ sendApps: z.boolean() }),
  refresh_kiosk: z.strictObject({}),
  pref_update: z.strictObject({ userId: z.string().min(1).max(200).optional(), userSwitched: z.boolean().optional() }),
  location_request: z.strictObject({}),
  status_request: z.strictObject({}),
  password_token_request: z.strictObject({}),
  fetch_system_apps: z.strictObject({}),
} as const satisfies Record<string, z.ZodObject>;

type ActionType = keyof typeof ACTIONS;

/** Meaning of the texts of a command's status, as the operator has found them out: the vendor publishes none. */
export type StatusTexts = { completed: readonly string[]; failed: readonly string[] };

export type CommandRecord = {
  id: string;
  deviceId: string | undefined;
  /** The machine's name of the type: `commandType` itself is display text. */
  type: string | undefined;
  title: string | undefined;
  status: string | undefined;
  data: Json;
  createdAt: string | undefined;
  record: Fields;
};

const PER_PAGE = 100;
/** A command older than 1,000 others of its device has long expired here. */
const MAX_PAGES = 10;
/**
 * Sends a command once. The platform has no key by which a repetition shows: the history before and after shows whether it arrived when its answer
 * is lost, or names no command.
 */
export async function sendCommand(
  open: (secrets: readonly string[]) => VendorApi,
  { externalId }: PushTarget,
  command: VendorCommand,
  signal: AbortSignal,
): Promise<CommandOutcome> {
  const commandType = actionOf(command.type);
  const commandData = dataOf(commandType, command.payload);
  // An error may quote what the platform answers, and that may quote the password.
  const api = open(Object.values(commandData).filter((value) => typeof value === 'string'));
  const before = new Set((await newestCommands(api, externalId, signal)).map(({ id }) => id));
  const arrived = async () =>
    (await newestCommands(api, externalId, signal)).find(({ id, type }) => type === commandType && !before.has(id));
  const call = {
    doing: `send command "${commandType}" to the device`,
    method: 'PUT',
    path: pathOf`/devices/${externalId}/actions`,
  } as const;
  // The platform compares the id with that of the path.
  const body = { deviceId: externalId, commandType, commandData };
  let record: CommandRecord | undefined;
  try {
    const answer = await api.send({ ...call, body, isIdempotent: false, signal });
    record = isFields(answer.body) ? recordOf(answer.body) : undefined;
  } catch (error) {
    // The platform may have taken it, and only its answer is lost.
    if (!isProblem(error, 'integration_timeout', 'integration_unreachable', 'integration_server_error')) throw error;
    record = await arrived();
    if (record === undefined) throw error;
  }
  // An error now would have the command sent again.
  record ??= await unlessAway(arrived());
  return {
    state: 'sent',
    reference: `${commandType}:${record?.id ?? ''}`,
    result: { status: record?.status ?? 'accepted; the platform named no command' },
  };
}

async function unlessAway<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Problem) return undefined;
    throw error;
  }
}

function actionOf(type: string): ActionType {
  if (Object.hasOwn(ACTIONS, type)) return type as ActionType;
  throw integrationProblem(
    'integration_unsupported',
    `Cannot send command "${type}" to a Mobivisor device: must be one of ${Object.keys(ACTIONS).join(', ')}`,
  );
}

/** The error never quotes a value: one of them is a password. */
function dataOf(type: ActionType, payload: Fields): Fields {
  const parsed = ACTIONS[type].safeParse(payload);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `payload/${issue.path.join('/')} ${issueText(issue)}`);
  throw integrationProblem('integration_rejected', `Cannot send command "${type}" to a Mobivisor device: ${faults.join('; ')}`);
}

/** The only status that anybody has seen and written down. It means that the device has not got the command yet. */
const NOT_SENT = 'Not Sent';

/**
 * Finds what an operator should add to the settings: the texts of status in the newest commands of all devices that have no meaning there yet.
 * @returns sentences for people
 */
export async function statusGaps(api: VendorApi, { completed, failed }: StatusTexts, signal: AbortSignal): Promise<string[]> {
  const known = new Set([...completed, ...failed, NOT_SENT]);
  const commands = (await unlessAway(readCommands(api, {}, { page: 0, perPage: PER_PAGE }, signal))) ?? [];
  const seen = [...new Set(commands.flatMap(({ status }) => (status === undefined || known.has(status) ? [] : [status])))].sort();
  const open = seen.map((text) => `"${text.slice(0, 100)}"`).join(', ');
  const gaps = seen.length === 0 ? [] : [`completedStatuses, failedStatuses: the command history shows ${open}, which neither lists`];
  return completed.length > 0 ? gaps : ['completedStatuses: lists no text, so that no command counts as completed', ...gaps];
}

/** Looks the command up in the history, by its id and the machine's name of its type. An unknown status counts as under way. */
export async function outcomeOf(
  api: VendorApi,
  { externalId }: PushTarget,
  reference: string,
  texts: StatusTexts,
  signal: AbortSignal,
): Promise<CommandOutcome> {
  const [type = '', id = ''] = reference.split(':');
  if (id === '') return { state: 'sent', reference, result: { status: 'accepted; the platform named no command' } };
  for await (const page of historyOf(api, externalId, signal)) {
    const found = page.find((command) => command.id === id && command.type === type);
    if (found !== undefined) return judged(found, reference, texts);
  }
  return { state: 'sent', reference, result: { status: 'not in the command history of the platform' } };
}

function judged({ status, data, type }: CommandRecord, reference: string, { completed, failed }: StatusTexts): CommandOutcome {
  const result: Json = { status: status ?? 'none', ...(isHidden(type) || data === null ? {} : { data }) };
  if (status !== undefined && completed.includes(status)) return { state: 'completed', result };
  if (status !== undefined && failed.includes(status)) return { state: 'failed', result };
  return { state: 'sent', reference, result };
}

/** Commands whose data or result nobody may see: a password, a token that resets it, the place of a person. */
export function isHidden(type: string | undefined): boolean {
  return type === undefined || ['change_password_now', 'password_token_request', 'location_request'].includes(type);
}

async function newestCommands(api: VendorApi, externalId: string, signal: AbortSignal): Promise<CommandRecord[]> {
  return (await readHistory(api, externalId, { page: 0, perPage: PER_PAGE }, signal)).mine;
}

/** Pages of the device's commands, newest first, until a page has no new one. */
async function* historyOf(api: VendorApi, externalId: string, signal: AbortSignal): AsyncGenerator<CommandRecord[]> {
  const seen = new Set<string>();
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { ids, mine } = await readHistory(api, externalId, { page, perPage: PER_PAGE }, signal);
    if (ids.every((id) => seen.has(id))) return;
    for (const id of ids) seen.add(id);
    yield mine;
  }
}

/**
 * Commands of one device, newest first. The filter is sent as JSON and checked again, as a server may ignore it.
 * @returns `ids`: of all commands of the page
 */
export async function readHistory(
  api: VendorApi,
  externalId: string,
  { page, perPage }: { page: number; perPage: number },
  signal: AbortSignal,
): Promise<{ ids: string[]; mine: CommandRecord[] }> {
  const commands = await readCommands(api, { user: externalId }, { page, perPage }, signal);
  return { ids: commands.map(({ id }) => id), mine: commands.filter(({ deviceId }) => deviceId === externalId) };
}

/** A page of commands, newest first. */
async function readCommands(
  api: VendorApi,
  search: Fields,
  { page, perPage }: { page: number; perPage: number },
  signal: AbortSignal,
): Promise<CommandRecord[]> {
  const query = { order: 'timeCreated', page, per_page: perPage, reverse: true, search: JSON.stringify(search) };
  const call = { doing: 'read the command history', method: 'GET', path: '/devicescommands', query, signal } as const;
  return (await readList(api, call, 'devicescommands')).map(recordOf).filter((command) => command !== undefined);
}

/** @returns undefined for an answer that is no record of a command */
export function recordOf(record: Fields): CommandRecord | undefined {
  const id = idOf(record);
  const text = (name: string) => (typeof record[name] === 'string' ? (record[name] as string) : undefined);
  if (id === undefined || (record.commandType === undefined && record.commandTypeOldFormat === undefined)) return undefined;
  return {
    id,
    deviceId: text('user'),
    type: text('commandTypeOldFormat'),
    title: text('commandType'),
    status: text('status'),
    data: parsedData(record.commandData),
    createdAt: text('timeCreated'),
    record,
  };
}

/** `commandData` is JSON inside of a string. */
function parsedData(data: Json | undefined): Json {
  if (typeof data !== 'string') return data ?? null;
  try {
    return JSON.parse(data) as Json;
  } catch {
    return data;
  }
}
