import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { DeviceFacts } from '../../device/facts.ts';
import { parseDocument } from '../../document/parse.ts';
import { messageOf, Problem } from '../../errors.ts';
import { defaultRevisionLimits } from '../../revision/limits.ts';
import { DeviceId, Labels } from '../../wire/agent.ts';
import { issueText } from '../../wire/names.ts';

/** The members of a device in the API's list that layers, templates and the check of a platform's file use. Other members are ignored. */
const KnownDevice = z.object({
  id: DeviceId,
  name: z.string().optional(),
  type: z.string().default('device'),
  labels: Labels.default({}),
  /** Its name. */
  site: z.string().nullable().default(null),
  path: z.string().nullable().optional(),
  adapter: z.string().default('agent'),
});

const KnownDevices = z.preprocess((value) => Page.safeParse(value).data?.items ?? value, z.array(KnownDevice));
const Page = z.object({ items: z.array(z.unknown()) });

const MAX_BYTES = 64 * 1024 * 1024;

export type KnownDevices = {
  devices: { id: string; labels: Record<string, string> }[];
  /** The devices of each folder: those that name it as their path, or whose id is its name. */
  devicesOf(paths: readonly string[]): ReadonlyMap<string, DeviceFacts[]>;
  /** Their adapters. */
  adaptersOf(paths: readonly string[]): ReadonlyMap<string, string[]>;
};

/**
 * Devices from a JSON or YAML file: a list of `{id, labels, site, name, type, path, adapter}`, or an answer of the API with such `items`.
 * @throws Problem `invalid_devices`
 */
export async function readKnownDevices(file: string): Promise<KnownDevices> {
  const refuse = (why: string): Problem => new Problem('invalid_devices', `Cannot read devices from "${file}": ${why}`);
  const bytes = await readFile(file).catch((error: unknown) => {
    throw refuse(messageOf(error));
  });
  if (bytes.length > MAX_BYTES) throw refuse(`it has ${bytes.length} bytes, must have <= ${MAX_BYTES}`);
  const parsed = parseDocument(bytes, file.endsWith('.json') ? 'json' : 'yaml', defaultRevisionLimits);
  if (!parsed.ok) throw refuse(`line ${parsed.fault.line ?? 1} ${parsed.fault.detail}`);
  const known = KnownDevices.safeParse(parsed.document.value);
  if (!known.success) throw refuse(`it must hold a list of {id, labels, site, name, type, path, adapter}: ${issuesOf(known.error)}`);
  const byPath = Map.groupBy(known.data, (device) => device.path ?? null);
  const byId = Map.groupBy(byPath.get(null) ?? [], (device) => device.id);
  const boundTo = <T>(paths: readonly string[], show: (device: z.infer<typeof KnownDevice>) => T) =>
    new Map(
      paths.flatMap((path): [string, T[]][] => {
        const bound = [...(byPath.get(path) ?? []), ...(byId.get(path.split('/').at(-1) ?? path) ?? [])];
        return bound.length === 0 ? [] : [[path, bound.map(show)]];
      }),
    );
  return {
    devices: known.data,
    devicesOf: (paths) => boundTo(paths, factsOf),
    adaptersOf: (paths) => boundTo(paths, ({ adapter }) => adapter),
  };
}

function issuesOf({ issues }: z.ZodError): string {
  return issues.map((issue) => `/${issue.path.join('/')} ${issueText(issue)}`).join('; ');
}

function factsOf({ id, name = id, type, labels, site }: z.infer<typeof KnownDevice>): DeviceFacts {
  return { id, name, type, labels, site };
}
