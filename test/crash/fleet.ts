/** The repositories of the test, and the content of their device folders at their heads. */
export type Folder = { repository: string; prefix: string; device: string };
export type Config = { version: number; vlan: number; host: string };

export const REPOSITORIES = ['fleet', 'counter', 'gate'] as const;
export type Repository = (typeof REPOSITORIES)[number];

/** The device whose health check refuses hosts that end in `.invalid`. */
export const REFUSING = 'till-4';

/** The device without an agent: the service delivers to its gateway. */
export const GATEWAY = 'till-5';

export const FOLDERS: readonly Folder[] = [
  ...['till-1', 'till-2', 'till-3', REFUSING, GATEWAY].map((device) => ({ repository: 'fleet', prefix: `devices/${device}/`, device })),
  { repository: 'counter', prefix: '', device: 'counter' },
  { repository: 'gate', prefix: '', device: 'gate' },
];

export const foldersOf = (repository: string): readonly Folder[] => FOLDERS.filter((folder) => folder.repository === repository);

const MANIFEST = `apiVersion: bellwether/v1
kind: DeviceConfig
validate:
  - files: "config/*.json"
    schema: schema.json
files:
  - { from: config/app.json, to: app.json }
  - { from: config/table.txt, to: data/table.txt }
apply:
  hooks: { before: stop, after: reload }
  health: { hook: check, timeoutSeconds: 10 }
  confirmTimeoutSeconds: 60
`;

const SCHEMA = JSON.stringify({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  required: ['vlan'],
  properties: { vlan: { type: 'integer', minimum: 1, maximum: 4094 } },
});

/**
 * Content that takes a moment to write and is too large for the answer with the desired state, so that the agent downloads it. It differs in each
 * version, so that a mixture of two is detectable.
 */
const TABLE_LINES = 12_000;

/** The files of a config on a device: contents by path. */
export function released(config: Config): Record<string, string> {
  return { 'app.json': JSON.stringify(config), 'data/table.txt': `${config.version}\n`.repeat(TABLE_LINES) };
}

/** A folder's files in its repository. */
export function committed({ prefix }: Folder, config: Config): Record<string, string> {
  const files = released(config);
  return {
    [`${prefix}bellwether.yaml`]: MANIFEST,
    [`${prefix}schema.json`]: SCHEMA,
    [`${prefix}config/app.json`]: files['app.json']!,
    [`${prefix}config/table.txt`]: files['data/table.txt']!,
  };
}

export const FLEET_FILE: Record<string, string> = { 'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\n' };

export const isValid = ({ vlan }: Config): boolean => vlan <= 4094;
