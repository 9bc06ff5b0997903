import { z } from 'zod';
import { issueText } from '../../../../wire/names.ts';
import type { Json } from '../../../../wire/text/json.ts';
import { integrationProblem } from '../../../problems.ts';

/** Ids of the platform are MongoDB's. */
const MongoId = z.string().regex(/^[0-9a-f]{24}$/, 'must be an id of Mobivisor: 24 hex digits');
const Name = z.string().min(1).max(200);

/**
 * The file `mobivisor.yaml` of a device's folder.
 *
 * Feature controls and variables are the device's own. Applications belong to a group and managed configuration to an app of the whole tenant: they
 * change every device there, whichever device's file names them.
 */
export const MobivisorDocument = z.strictObject({
  featureControls: unique(z.strictObject({ feature: Name, value: z.union([z.boolean(), z.number()]) }), 'feature', 200).default([]),
  extraVariables: z.record(Name, z.string('must be a text: put numbers and switches in quotes').max(10_000)).default({}),
  groupApplications: unique(z.strictObject({ group: MongoId, apps: z.array(MongoId).min(1).max(200) }), 'group', 50).default([]),
  /** `values`: null removes a key; keys that are not named keep their value. */
  managedConfig: unique(z.strictObject({ app: MongoId, values: z.record(Name, z.json()) }), 'app', 50).default([]),
}) satisfies z.ZodType<Json>;

function unique<S extends z.ZodObject>(item: S, key: string, max: number) {
  return z
    .array(item)
    .max(max)
    .superRefine((items, c) => {
      const seen = new Set<unknown>();
      for (const [index, one] of items.entries()) {
        const value = (one as Record<string, unknown>)[key];
        if (seen.has(value))
          c.addIssue({ code: 'custom', path: [index, key], message: `must be named once: "${String(value)}" stands above` });
        seen.add(value);
      }
    });
}

export const FeatureControl = z.object({
  feature: z.string(),
  booleanValue: z.boolean().optional(),
  numberValue: z.number().optional(),
});
export type FeatureControl = z.output<typeof FeatureControl>;

const Settings = z.object({ featureControls: z.array(FeatureControl), extraVariables: z.record(z.string(), z.string()) });
export type Settings = z.output<typeof Settings>;

/** Values that the file wants, in an order that is the same for the same file. */
export const Desired = Settings.extend({
  groupApplications: z.array(z.object({ group: z.string(), apps: z.array(z.string()) })),
  managedConfig: z.array(z.object({ app: z.string(), values: z.record(z.string(), z.json()) })),
});
export type Desired = z.output<typeof Desired>;

/** @throws Problem `integration_rejected`, which names each fault by its place in the file */
export function desiredOf(document: Json | undefined): Desired {
  if (document === undefined)
    throw integrationProblem('integration_rejected', 'Cannot configure the device through Mobivisor: its bundle has no mobivisor.yaml');
  const parsed = MobivisorDocument.safeParse(document);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => ({ pointer: `/${issue.path.join('/')}`, detail: issueText(issue) }));
    const text = faults.map(({ pointer, detail }) => `${pointer} ${detail}`).join('; ');
    throw integrationProblem('integration_rejected', `Cannot configure the device through Mobivisor: ${text}`, { errors: faults });
  }
  const { featureControls, extraVariables, groupApplications, managedConfig } = parsed.data;
  return {
    featureControls: featureControls.map(({ feature, value }) => controlOf(feature, value)).sort(by(({ feature }) => feature)),
    extraVariables: sorted(extraVariables),
    groupApplications: groupApplications
      .map(({ group, apps }) => ({ group, apps: [...new Set(apps)].sort() }))
      .sort(by(({ group }) => group)),
    managedConfig: managedConfig.map(({ app, values }) => ({ app, values: sorted(values) })).sort(by(({ app }) => app)),
  };
}

/** Lists with the values of both; `over` wins. */
export function joined(under: Settings, over: Settings): Settings {
  const features = new Map([...under.featureControls, ...over.featureControls].map((control) => [control.feature, control]));
  return {
    featureControls: [...features.values()].sort(by(({ feature }) => feature)),
    extraVariables: sorted({ ...under.extraVariables, ...over.extraVariables }),
  };
}

export function controlOf(feature: string, value: boolean | number): FeatureControl {
  return typeof value === 'boolean' ? { feature, booleanValue: value } : { feature, numberValue: value };
}

/** Code units and not a language's order, which depends on the machine. */
function by<T>(key: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
}

function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(by(([key]) => key)));
}
