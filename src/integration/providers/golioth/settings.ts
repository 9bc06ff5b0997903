import { z } from 'zod';
import { type Json, JsonValue } from '../../../wire/text/json.ts';
import { integrationProblem } from '../../problems.ts';
import { type Golioth, listOf, projectPath, unlessMissing } from './api.ts';

/** Settings of the platform: a value of the device overrides that of its blueprint, which overrides that of the project. */

export const Setting = z.object({
  id: z.string(),
  key: z.string(),
  dataType: z.enum(['string', 'integer', 'float', 'boolean']),
  value: JsonValue,
  deviceId: z.string().optional(),
  updatedAt: z.coerce.date().optional().catch(undefined),
});
export type Setting = z.output<typeof Setting>;
export type SettingValue = string | number | boolean;

/** Reads the overrides of the device, or without one the settings of the project. The platform does not page them. */
export async function readSettings(golioth: Golioth, deviceId: string | undefined, signal: AbortSignal): Promise<Map<string, Setting>> {
  const doing = deviceId === undefined ? 'read the settings of the project' : `read the settings of device "${deviceId}"`;
  const call = { doing, method: 'GET', path: projectPath(golioth, 'settings'), query: { deviceId }, signal } as const;
  const { list } = await golioth.read(call, listOf(Setting));
  return new Map(list.filter((setting) => setting.deviceId === deviceId).map((setting) => [setting.key, setting]));
}

const INT32 = 2 ** 31;

/**
 * A key exists for devices only if the project has it, and its type never changes.
 * @throws Problem `integration_rejected` that names every key that does not fit
 */
export function checkValues(project: ReadonlyMap<string, Setting>, wanted: Readonly<Record<string, SettingValue>>): void {
  const faults = Object.entries(wanted).flatMap(([key, value]) => {
    const known = project.get(key);
    if (known === undefined) return [`the project has no setting ${key}; create it there first, with its type and default`];
    const fault = faultOf(known.dataType, value);
    return fault === undefined ? [] : [`${key} ${fault}`];
  });
  if (faults.length > 0) throw integrationProblem('integration_rejected', `Cannot set the settings: ${faults.join('; ')}`);
}

function faultOf(dataType: Setting['dataType'], value: SettingValue): string | undefined {
  if (dataType === 'string' || dataType === 'boolean')
    return typeof value === dataType ? undefined : `is ${JSON.stringify(value)}, must be a ${dataType}, as in the project`;
  if (typeof value !== 'number') return `is ${JSON.stringify(value)}, must be a number of type ${dataType}, as in the project`;
  if (dataType === 'float') return undefined;
  // On the device an integer has 32 bits.
  return Number.isInteger(value) && value >= -INT32 && value < INT32 ? undefined : `is ${value}, must be a whole number of 32 bits`;
}

/** The wanted overrides; null: none. */
export type Overrides = Readonly<Record<string, SettingValue | null>>;

/**
 * Makes the overrides of these keys as wanted, with the fewest calls. Idempotent. Removals come first: only the other answers name the exact time, and
 * the last change must be one of theirs.
 * @returns the platform's time of the newest change of these keys, ms since 1970, also of one that an earlier call made; 0 where nothing shows it
 */
export async function writeOverrides(golioth: Golioth, deviceId: string, wanted: Overrides, signal: AbortSignal): Promise<number> {
  const [project, present] = [await readSettings(golioth, undefined, signal), await readSettings(golioth, deviceId, signal)];
  let newest = 0;
  const removalsFirst = Object.entries(wanted).sort(([, a], [, b]) => Number(b === null) - Number(a === null));
  for (const [key, value] of removalsFirst) {
    const before = present.get(key);
    // A process that died after this write left no receipt of it.
    if ((before?.value ?? null) === value) newest = Math.max(newest, before?.updatedAt?.getTime() ?? 0);
    else newest = Math.max(newest, await writeOne(golioth, { deviceId, key, value, before, dataType: project.get(key)?.dataType }, signal));
  }
  return newest;
}

type Change = {
  deviceId: string;
  key: string;
  value: SettingValue | null;
  before: Setting | undefined;
  dataType: Setting['dataType'] | undefined;
};
const Written = z.object({ data: Setting });

async function writeOne(golioth: Golioth, { deviceId, key, value, before, dataType }: Change, signal: AbortSignal): Promise<number> {
  if (value === null) {
    const path = projectPath(golioth, 'settings', before?.id ?? '');
    const gone = await golioth.api.send({ doing: `remove setting ${key}`, method: 'DELETE', path, signal }).catch(unlessMissing(undefined));
    return timeOf(gone?.headers.date);
  }
  const written =
    before === undefined
      ? await golioth.read(
          {
            doing: `set ${key}`,
            method: 'POST',
            path: projectPath(golioth, 'settings'),
            body: { key, dataType: dataType ?? typeOf(value), value, deviceId },
            signal,
          },
          Written,
        )
      : await golioth.read(
          { doing: `set ${key}`, method: 'PUT', path: projectPath(golioth, 'settings', before.id), body: { value }, signal },
          Written,
        );
  return written.data.updatedAt?.getTime() ?? 0;
}

function typeOf(value: SettingValue): Setting['dataType'] {
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'float';
  return typeof value === 'string' ? 'string' : 'boolean';
}

/** A deletion has no time in its answer but that of the header, in whole seconds. */
export function timeOf(date: string | string[] | undefined): number {
  const ms = Date.parse(String(date ?? ''));
  return Number.isNaN(ms) ? 0 : ms;
}

/** The overrides that are there now of these keys, as `writeOverrides` takes them. */
export function overridesOf(present: ReadonlyMap<string, Setting>, keys: readonly string[]): Overrides {
  return Object.fromEntries(keys.map((key) => [key, scalar(present.get(key)?.value)]));
}

function scalar(value: Json | undefined): SettingValue | null {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null;
}
