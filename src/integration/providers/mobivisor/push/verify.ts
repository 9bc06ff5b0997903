import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { VendorApi } from '../../../api.ts';
import type { PushTarget, Verification } from '../../../provider.ts';
import { isFields } from '../answers.ts';
import { outcomeOf, type StatusTexts } from '../commands.ts';
import { readRecord } from '../devices.ts';
import { readManagedConfig, withValues } from './apps.ts';
import type { Desired, FeatureControl } from './document.ts';
import { judge, type Proof } from './proof.ts';
import { installedPackages, packageOf, shownSettings } from './shown.ts';

/** `commands`: references of commands that the platform made of our writes, by channel. */
export const Receipt = z.object({ sentAt: z.iso.datetime(), commands: z.record(z.string(), z.string()) });
export type Receipt = z.output<typeof Receipt>;

/** `proofSeconds`: how long a part that may still show itself is awaited. */
export type VerifyOptions = { texts: StatusTexts; proofSeconds: number };

/** Searches for proof of each part. */
export async function verify(
  api: VendorApi,
  { texts, proofSeconds }: VerifyOptions,
  target: PushTarget,
  desired: Desired,
  { sentAt, commands }: Receipt,
  signal: AbortSignal,
): Promise<Verification> {
  const ofCommand = (channel: string) => proofOfCommand(api, target, commands[channel], texts, signal);
  const shown = shownSettings(await readRecord(api, target.externalId, signal));
  const proofs: Proof[] = [];
  if (desired.featureControls.length > 0)
    proofs.push(proofOfControls(desired, shown.featureControls) ?? (await ofCommand('featureControls')) ?? unknowable('feature controls'));
  if (Object.keys(desired.extraVariables).length > 0)
    proofs.push(proofOfVariables(desired, shown.extraVariables) ?? (await ofCommand('extraVariables')) ?? unknowable('variables'));
  if (desired.groupApplications.length > 0) proofs.push(await proofOfApplications(api, target, desired, signal));
  for (const { app, values } of desired.managedConfig) {
    const entries = await readManagedConfig(api, app, signal);
    const isKept = isDeepStrictEqual(withValues(entries, values), entries);
    proofs.push(
      isKept
        ? {
            is: 'unknowable',
            reason: `Mobivisor holds the managed configuration of app "${app}", and no call shows whether a device took it`,
          }
        : { is: 'contradicted', reason: `the managed configuration of app "${app}" was changed by somebody else since` },
    );
  }
  return judge(proofs, (Date.now() - Date.parse(sentAt)) / 1000, proofSeconds);
}

function unknowable(what: string): Proof {
  return { is: 'unknowable', reason: `Mobivisor took the ${what} and shows neither them nor a command for them` };
}

function proofOfControls({ featureControls }: Desired, shown: FeatureControl[] | undefined): Proof | undefined {
  if (shown === undefined) return undefined;
  const missing = featureControls.filter((control) => !isShown(control, shown)).map(({ feature }) => feature);
  if (missing.length === 0) return { is: 'proven' };
  return { is: 'contradicted', reason: `the device shows other feature controls than wanted: ${missing.join(', ')}` };
}

function proofOfVariables({ extraVariables }: Desired, shown: Record<string, string> | undefined): Proof | undefined {
  if (shown === undefined) return undefined;
  const missing = Object.keys(extraVariables).filter((key) => shown[key] !== extraVariables[key]);
  if (missing.length === 0) return { is: 'proven' };
  return { is: 'contradicted', reason: `the device shows other variables than wanted: ${missing.join(', ')}` };
}

async function proofOfCommand(
  api: VendorApi,
  target: PushTarget,
  reference: string | undefined,
  texts: StatusTexts,
  signal: AbortSignal,
): Promise<Proof | undefined> {
  if (reference === undefined) return undefined;
  const outcome = await outcomeOf(api, target, reference, texts, signal);
  if (outcome.state === 'completed') return { is: 'proven' };
  const status = isFields(outcome.result) ? outcome.result.status : undefined;
  const reason = `command "${reference.split(':')[0]}" has status "${status}"`;
  return { is: outcome.state === 'failed' ? 'failed' : 'awaited', reason };
}

/** Apps of a group are proven by their packages on the device. */
async function proofOfApplications(api: VendorApi, { externalId }: PushTarget, desired: Desired, signal: AbortSignal): Promise<Proof> {
  const installed = new Set((await installedPackages(api, externalId, signal)).map((one) => one.package));
  const missing: string[] = [];
  for (const app of new Set(desired.groupApplications.flatMap(({ apps }) => apps))) {
    const name = await packageOf(api, app, signal);
    if (name === undefined || !installed.has(name)) missing.push(name ?? app);
  }
  if (missing.length === 0) return { is: 'proven' };
  return { is: 'awaited', reason: `the installed packages of the device do not show ${missing.join(', ')}` };
}

export function isShown(control: FeatureControl, shown: readonly FeatureControl[]): boolean {
  return shown.some((one) => isDeepStrictEqual(one, control));
}
