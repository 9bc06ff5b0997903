import { z } from 'zod';
import { type Desired, FeatureControl, type Settings } from './document.ts';

/** The state before the change, as far as the platform shows it. */
export const Backup = z.object({
  featureControls: z.array(FeatureControl).optional(),
  extraVariables: z.record(z.string(), z.string()).optional(),
  groupApplications: z.array(z.object({ group: z.string(), apps: z.array(z.string()) })),
  managedConfig: z.array(z.object({ app: z.string(), entries: z.array(z.json()) })),
});
export type Backup = z.output<typeof Backup>;

/** Values that the device shows and the file does not name. */
export function keptOf(wanted: Desired, { featureControls = [], extraVariables = {} }: Partial<Settings>): Settings {
  const features = new Set(wanted.featureControls.map(({ feature }) => feature));
  return {
    featureControls: featureControls.filter(({ feature }) => !features.has(feature)),
    extraVariables: Object.fromEntries(Object.entries(extraVariables).filter(([key]) => !Object.hasOwn(wanted.extraVariables, key))),
  };
}

/** Earlier values of what the file names. */
export function ownOf(desired: Desired, { featureControls = [], extraVariables = {} }: Partial<Settings>): Settings {
  const features = new Set(desired.featureControls.map(({ feature }) => feature));
  return {
    featureControls: featureControls.filter(({ feature }) => features.has(feature)),
    extraVariables: Object.fromEntries(Object.entries(extraVariables).filter(([key]) => Object.hasOwn(desired.extraVariables, key))),
  };
}

/** The lists that the file is about; the other one is left empty, so that it is not sent. */
export function listsOf(desired: Settings, { featureControls, extraVariables }: Settings): Settings {
  return {
    featureControls: desired.featureControls.length === 0 ? [] : featureControls,
    extraVariables: Object.keys(desired.extraVariables).length === 0 ? {} : extraVariables,
  };
}
