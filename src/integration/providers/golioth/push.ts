import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { issueText } from '../../../wire/names.ts';
import { type Json, JsonValue } from '../../../wire/text/json.ts';
import { integrationProblem } from '../../problems.ts';
import type { PreparedPush, Push, PushConfiguration, PushTarget, Verification } from '../../provider.ts';
import { type Golioth, isObject, projectPath, unlessMissing } from './api.ts';
import { describe, findDevice, type SettingsStatus } from './devices.ts';
import type { Names } from './names.ts';
import { ensureDeployment, Update, updateProof } from './ota.ts';
import { checkValues, type Overrides, overridesOf, readSettings, type SettingValue, timeOf, writeOverrides } from './settings.ts';

const Value = z.union([z.string(), z.number(), z.boolean()]);

/** `golioth.yaml` of a bundle: all that the device has of its own at the platform. */
export const GoliothDocument = z
  .strictObject({
    /** Values of the device. A key that an earlier commit set and this one does not falls back to the blueprint's or the project's value. */
    settings: z.record(z.string().regex(/^[A-Z0-9_]{1,63}$/, 'must have 1 to 63 of A-Z, 0-9 and _'), Value).default({}),
    /** LightDB State that the device shall have, below the integration's `desiredPath`. */
    state: z.record(z.string().regex(/^[^/]{1,128}$/, 'must be a name without /'), JsonValue).optional(),
    /** Name of the cohort. Its deployment decides the firmware: devices move into it as their wave opens. null: none. */
    cohort: z.string().min(1).max(128).nullable().optional(),
    /** The cohort's update. It is created where it is missing, with the cohort. */
    deployment: Update.optional(),
  })
  .refine(({ deployment, cohort }) => deployment === undefined || typeof cohort === 'string', {
    path: ['deployment'],
    message: 'needs the name of a cohort beside it, which the deployment belongs to',
  });

/** Kept in the desired state beside what the commit says: shows whose change it is, and which settings are ours. */
const MARK = '_bellwether';
const Mark = z.object({ digest: z.string(), token: z.string().default(''), keys: z.array(z.string()).default([]) });

const Desired = z.object({
  digest: z.string(),
  /** Settings that the commit names, and null for those that it no longer does. */
  settings: z.record(z.string(), Value.nullable()),
  keys: z.array(z.string()),
  state: z.record(z.string(), JsonValue).nullable(),
  /** Id of the cohort; undefined: left as it is. */
  cohortId: z.string().nullable().optional(),
  /** The cohort's deployment, and the cohort's name, which may have to be created. */
  update: Update.extend({ cohort: z.string() }).optional(),
});
type Desired = z.output<typeof Desired>;
const Previous = z.object({
  settings: z.record(z.string(), Value.nullable()),
  desired: JsonValue,
  cohortId: z.string().nullable(),
  /** Version of the settings that the device had reported before, ms; 0: none. */
  reportedVersion: z.number(),
});
type Previous = z.output<typeof Previous>;
const Receipt = z.object({ writtenMs: z.number(), sinceMs: z.number() });

/** `echoesState`: the devices' firmware copies `_bellwether` of the desired state into the reported one, which proves that they read it. */
export type PushOptions = { desiredPath: string; statePath: string; echoesState: boolean };

/** How long a device that is online takes to fetch a change. */
const ASK_AGAIN_SECONDS = 5;

export function createPush(golioth: Golioth, names: Names, options: PushOptions): Push {
  return {
    prepare: (target, configuration, signal) => prepare(golioth, names, options, target, configuration, signal),
    apply: async ({ externalId }, prepared, token, signal) => {
      const { settings, state, update, digest, keys, ...desired } = Desired.parse(prepared.desired);
      const writtenMs = await writeOverrides(golioth, externalId, settings, signal);
      await writeState(golioth, options, externalId, { ...(state ?? {}), [MARK]: { digest, token, keys } }, signal);
      const cohortId = update === undefined ? desired.cohortId : await names.ensureCohort(update.cohort, signal);
      if (update !== undefined && typeof cohortId === 'string') await ensureDeployment(golioth, cohortId, update, signal);
      const sinceMs = cohortId === undefined ? 0 : await moveTo(golioth, externalId, cohortId, signal);
      return { writtenMs, sinceMs };
    },
    verify: (target, prepared, receipt, _token, signal) => verify(golioth, options, target, prepared, receipt, signal),
    cancel: async ({ externalId }, { desired, previous }, _receipt, signal) => {
      const before = Previous.parse(previous);
      await writeOverrides(golioth, externalId, before.settings, signal);
      await writeState(golioth, options, externalId, before.desired, signal);
      const { cohortId, update } = Desired.parse(desired);
      if (cohortId !== undefined || update !== undefined) await moveTo(golioth, externalId, before.cohortId, signal);
    },
  };
}

async function prepare(
  golioth: Golioth,
  names: Names,
  options: PushOptions,
  { externalId }: PushTarget,
  configuration: PushConfiguration,
  signal: AbortSignal,
): Promise<PreparedPush> {
  const document = documentOf(configuration.document);
  const device = await findDevice(golioth, externalId, signal);
  if (device === undefined)
    throw integrationProblem('integration_not_found', `Cannot configure device "${externalId}": the project does not have it any more`);
  checkValues(await readSettings(golioth, undefined, signal), document.settings);
  const present = await readSettings(golioth, externalId, signal);
  const shown = await readState(golioth, options.desiredPath, externalId, signal);
  const mark = Mark.safeParse(isObject(shown) ? shown[MARK] : undefined).data;
  const keys = Object.keys(document.settings).sort();
  const settings: Record<string, SettingValue | null> = { ...document.settings };
  for (const key of mark?.keys ?? []) settings[key] ??= null;
  const desired: Desired = { digest: configuration.digest, settings, keys, state: document.state ?? null };
  if (document.deployment !== undefined && typeof document.cohort === 'string')
    desired.update = { ...document.deployment, cohort: document.cohort };
  else if (document.cohort !== undefined) desired.cohortId = await cohortIdOf(names, document.cohort, signal);
  const before: Overrides = overridesOf(present, Object.keys(settings));
  const cohortId = device.cohortId ?? null;
  return {
    desired,
    previous: {
      ...{ settings: { ...before }, desired: shown, cohortId },
      reportedVersion: device.metadata.lastSettingsStatus?.reportedVersion ?? 0,
    },
    isUnchanged:
      mark?.digest === configuration.digest &&
      isDeepStrictEqual(shown, { ...(document.state ?? {}), [MARK]: isObject(shown) ? shown[MARK] : null }) &&
      desired.update === undefined &&
      Object.entries(settings).every(([key, value]) => before[key] === value) &&
      (desired.cohortId === undefined || desired.cohortId === cohortId),
  };
}

/** @throws Problem `integration_rejected`, which names each fault by its place in the file */
function documentOf(document: Json | undefined): z.output<typeof GoliothDocument> {
  const parsed = GoliothDocument.safeParse(document ?? {});
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map((issue) => ({ pointer: `/${issue.path.join('/')}`, detail: issueText(issue) }));
  const text = errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join('; ');
  throw integrationProblem('integration_rejected', `Cannot configure the device through Golioth: ${text}`, { errors });
}

async function cohortIdOf(names: Names, cohort: string | null, signal: AbortSignal): Promise<string | null> {
  if (cohort === null) return null;
  const id = await names.cohortId(cohort, signal);
  if (id !== undefined) return id;
  throw integrationProblem(
    'integration_rejected',
    `Cannot move the device: the project has no cohort "${cohort}"; create it there first, with its deployment`,
  );
}

async function readState(golioth: Golioth, path: string, externalId: string, signal: AbortSignal): Promise<Json> {
  const call = { doing: 'read the state of the device', method: 'GET', path: statePathOf(golioth, path, externalId), signal } as const;
  const shape = z.object({ data: JsonValue.optional() }).optional();
  return (await golioth.read(call, shape).catch(unlessMissing(undefined)))?.data ?? null;
}

/** Replaces the desired state. null: there was none. Reserved for this service, since the platform knows no versions. */
async function writeState(
  golioth: Golioth,
  { desiredPath }: PushOptions,
  externalId: string,
  state: Json,
  signal: AbortSignal,
): Promise<void> {
  const path = statePathOf(golioth, desiredPath, externalId);
  const doing = 'write the desired state of the device';
  if (state === null) await golioth.api.send({ doing, method: 'DELETE', path, signal }).catch(unlessMissing(undefined));
  else await golioth.api.send({ doing, method: 'POST', path, body: state, isIdempotent: true, signal });
}

function statePathOf(golioth: Golioth, path: string, externalId: string): string {
  return projectPath(golioth, 'devices', externalId, 'data', ...path.split('/').filter((part) => part !== ''));
}

/** The API's description says that the empty text clears the cohort, and the vendor's own client sends null: the second is tried where the first has no effect. @returns the platform's time in ms */
async function moveTo(golioth: Golioth, externalId: string, cohortId: string | null, signal: AbortSignal): Promise<number> {
  const doing = 'move the device to its cohort';
  const path = projectPath(golioth, 'devices', externalId);
  for (const sent of cohortId === null ? [null, ''] : [cohortId]) {
    const { headers } = await golioth.api.send({ doing, method: 'PATCH', path, body: { cohortId: sent }, signal });
    const shown = (await findDevice(golioth, externalId, signal))?.cohortId ?? '';
    if (shown === (cohortId ?? '')) return timeOf(headers.date);
  }
  throw integrationProblem('integration_conflict', `Cannot ${doing}: the platform shows another one afterwards`);
}

async function verify(
  golioth: Golioth,
  options: PushOptions,
  { externalId }: PushTarget,
  prepared: PreparedPush,
  receipt: Json,
  signal: AbortSignal,
): Promise<Verification> {
  const desired = Desired.parse(prepared.desired);
  const device = await findDevice(golioth, externalId, signal);
  if (device === undefined) return { is: 'refused', reason: 'the project does not have the device any more' };
  const hasSettings = Object.keys(desired.settings).length > 0;
  if (hasSettings) {
    const verdict = judge(device.metadata.lastSettingsStatus, desired, Previous.parse(prepared.previous), Receipt.parse(receipt).writtenMs);
    if (verdict.is !== 'verified') return verdict;
  }
  if (desired.update !== undefined) {
    const proof = await updateProof(golioth, externalId, desired.update, Receipt.parse(receipt).sinceMs, signal);
    if (proof.is !== 'verified') return proof;
  }
  if (options.echoesState) {
    const reported = await readState(golioth, options.statePath, externalId, signal);
    const echo = Mark.safeParse(isObject(reported) ? reported[MARK] : undefined).data;
    if (echo?.digest === desired.digest) return { is: 'verified' };
    return { is: 'pending', reason: 'the device has not reported the desired state yet', afterSeconds: ASK_AGAIN_SECONDS };
  }
  if (hasSettings || desired.update !== undefined) return { is: 'verified' };
  const shown = await readState(golioth, options.desiredPath, externalId, signal);
  const mark = Mark.safeParse(isObject(shown) ? shown[MARK] : undefined).data;
  if (mark?.digest !== desired.digest)
    return { is: 'refused', reason: 'the platform shows another desired state: something else wrote it' };
  return {
    is: 'unverified',
    reason: 'the platform holds the desired state, and the devices of this integration do not report which one they run',
  };
}

/**
 * `writtenMs`: the platform's time of our last change, which the device copies back as the version that it has. The time of a removal is known by the
 * second only, so that a change also needs a version that is newer than the one before it.
 */
function judge(status: SettingsStatus | undefined, { settings, keys }: Desired, previous: Previous, writtenMs: number): Verification {
  const pending = (reason: string): Verification => ({ is: 'pending', reason, afterSeconds: ASK_AGAIN_SECONDS });
  if (status === undefined) return pending('the device has not reported its settings yet');
  if (status.status === 'no-settings' && keys.length === 0) return { is: 'verified' };
  const isChanged = Object.entries(settings).some(([key, value]) => previous.settings[key] !== value);
  const version = status.reportedVersion ?? 0;
  if (version < writtenMs || (isChanged && version <= previous.reportedVersion))
    return pending('the device has not fetched the new settings yet');
  const ours = status.errors.filter(({ key, code }) => code !== 0 && settings[key] != null);
  if (ours.length > 0) return { is: 'refused', reason: ours.map((error) => `${error.key}: ${describe(error)}`).join('; ') };
  if (status.status === 'out-of-sync' && status.errors.length === 0)
    return { is: 'refused', reason: `the device refuses its settings: ${status.statusDetail ?? 'it names no key'}` };
  // The other errors are about settings of the blueprint or the project.
  if (status.status === 'in-sync' || status.status === 'out-of-sync') return { is: 'verified' };
  return pending(`the device reports "${status.status ?? 'nothing'}" for its settings`);
}
