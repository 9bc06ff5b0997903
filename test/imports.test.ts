import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SIDES = ['src', 'controller', 'agent', 'web', 'bench'];

type Import = { from: string; to: string; specifier: string };

async function sourceFiles(): Promise<string[]> {
  const found: string[] = [];
  for (const side of SIDES) {
    const entries = await readdir(join(ROOT, side), { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries)
      if (entry.isFile() && /\.tsx?$/.test(entry.name)) found.push(relative(ROOT, join(entry.parentPath, entry.name)));
  }
  return found;
}

/** Static and dynamic imports of ours; `to` is '' for a package. */
async function imports(): Promise<Import[]> {
  const all: Import[] = [];
  for (const from of await sourceFiles()) {
    const text = await readFile(join(ROOT, from), 'utf8');
    for (const match of text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)) {
      const specifier = match[1] ?? '';
      const to = specifier.startsWith('.') ? relative(ROOT, resolve(ROOT, dirname(from), specifier)) : '';
      all.push({ from, to, specifier });
    }
  }
  return all;
}

const under = (path: string, folder: string) => path === folder || path.startsWith(`${folder}/`);
const told = ({ from, specifier }: Import) => `${from} imports ${specifier}`;

/**
 * The floors of the house, from the ground up, and on each floor its folders in order. A file imports from its own folder, and from folders that stand
 * before its own. `.` are the files of `src/` itself that everything may know.
 */
const FLOORS: readonly (readonly [floor: string, folders: readonly string[]])[] = [
  ['ground', ['wire', 'async', '.', 'crypto']],
  ['machines', ['document', 'db', 'policy', 'git', 'workspace', 'http']],
  [
    'nouns',
    [
      'event',
      'organization',
      'session',
      'audit',
      'revision',
      'bundle',
      'source',
      'forge',
      'backup',
      'device',
      'deployment',
      'command',
      'telemetry',
      'integration',
      'adapter',
    ],
  ],
  [
    'work',
    [
      'prepare',
      'preview',
      'rollout',
      'plan',
      'hook',
      'report',
      'push',
      'delivery',
      'notification',
      'inventory',
      'sync',
      'live',
      'attention',
    ],
  ],
  ['doors', ['api', 'controller']],
  ['programs', ['cli', 'simulate', 'demo', 'programs']],
];
const ORDER = FLOORS.flatMap(([, folders]) => folders);
const GROUND_FILES = ['config', 'errors', 'faults', 'heap', 'ids', 'log'];

/** undefined for a file that stands beside the house: the agent, the web page, benchmarks. */
function folderOf(file: string): string | undefined {
  const [side, folder, ...rest] = file.split('/');
  if (side === 'controller') return 'controller';
  if (side !== 'src' || folder === undefined) return undefined;
  if (rest.length > 0) return folder;
  return GROUND_FILES.includes(folder.replace(/\.ts$/, '')) ? '.' : 'programs';
}

const rankOf = (file: string) => ORDER.indexOf(folderOf(file) ?? '');

/** A folder inside a folder, for the order among neighbours: `git/pack`. */
function innerFolderOf(file: string): string {
  return dirname(file).split('/').slice(0, 3).join('/');
}

test('every folder of the house is in the table of floors', async () => {
  const files = (await sourceFiles()).filter((file) => /^(src|controller)\//.test(file));
  expect(files.filter((file) => rankOf(file) < 0)).toEqual([]);
  expect(ORDER.filter((folder) => !files.some((file) => folderOf(file) === folder))).toEqual([]);
});

test('no import climbs from its floor, or to a later folder of the same floor', async () => {
  const climbs = (await imports()).filter(({ from, to }) => rankOf(from) >= 0 && rankOf(to) > rankOf(from));
  expect(climbs.map(told)).toEqual([]);
});

test('folders inside a folder do not import each other round a circle', async () => {
  const graph = new Map<string, Set<string>>();
  for (const { from, to } of await imports()) {
    const [a, b] = [innerFolderOf(from), innerFolderOf(to)];
    // A folder and its own sub-folders are one.
    if (rankOf(from) < 0 || rankOf(to) < 0 || folderOf(from) !== folderOf(to) || a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`))
      continue;
    graph.set(a, (graph.get(a) ?? new Set()).add(b));
  }
  expect([...graph].flatMap(([a, to]) => [...to].filter((b) => graph.get(b)?.has(a)).map((b) => `${a} ⇄ ${b}`))).toEqual([]);
});

/** Rules beside the floors: what matches is forbidden. */
const RULES: [rule: string, forbidden: (edge: Import) => boolean][] = [
  ['the agent imports only src/wire', ({ from, to }) => under(from, 'agent') && to !== '' && !under(to, 'agent') && !under(to, 'src/wire')],
  ['the dashboard imports only src/wire', ({ from, to }) => under(from, 'web') && to !== '' && !under(to, 'web') && !under(to, 'src/wire')],
  [
    'src imports the controller and the agent only where the command line starts them',
    ({ from, to }) => under(from, 'src') && from !== 'src/program.ts' && (under(to, 'controller') || under(to, 'agent')),
  ],
  [
    'nothing imports the entry point, benchmarks or tests',
    ({ from, to }) => !under(from, 'bench') && (to === 'src/main.ts' || to === 'agent/main.ts' || under(to, 'bench') || under(to, 'test')),
  ],
  ['stores never import stores', ({ from, to }) => /\/store\.ts$/.test(from) && /\/store\.ts$/.test(to)],
  ['only src/git imports isomorphic-git', ({ from, specifier }) => specifier === 'isomorphic-git' && !under(from, 'src/git')],
  [
    'only src/api and src/http import Hono',
    ({ from, specifier }) =>
      /^hono\b|^@hono\/node-server/.test(specifier) && /^(src|controller)\//.test(from) && !/^src\/(api|http|delivery|demo)\//.test(from),
  ],
  [
    'a webhook provider is imported by the registry alone',
    ({ from, to }) =>
      /^src\/source\/webhook\/(?!options|payload|provider|registry|repository)/.test(to) && from !== 'src/source/webhook/registry.ts',
  ],
  [
    'a kind of git host is imported by the registry alone',
    ({ from, to }) => /^src\/forge\/kinds\/(?!github-style)/.test(to) && from !== 'src/forge/registry.ts',
  ],
  [
    'a provider is imported by the registry alone',
    ({ from, to }) =>
      under(to, 'src/integration/providers') && !under(from, 'src/integration/providers') && from !== 'src/integration/registry.ts',
  ],
  [
    'an adapter is imported by the registry alone',
    ({ from, to }) =>
      /^src\/adapter\/(?!adapter|registry|leases|next-step|prepared|pushes-store)/.test(to) && from !== 'src/adapter/registry.ts',
  ],
];

test.each(RULES)('%s', async (_rule, forbidden) => {
  const all = await imports();
  expect(all.length).toBeGreaterThan(200);
  expect(all.filter(forbidden).map(told)).toEqual([]);
});

/** At most so many files in a folder: with more, a sub-folder in it has not been made yet. */
const MAX_FILES = 13;

test('no folder has more files than a person can overlook', async () => {
  const counts = new Map<string, number>();
  for (const file of await sourceFiles()) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
  expect([...counts].filter(([, count]) => count > MAX_FILES)).toEqual([]);
});

/** Files that may drop an error unseen, each with the reason. */
const UNSEEN: Readonly<Record<string, string>> = {
  'agent/disk/instance.ts': 'opening the root reports what is wrong with it',
  'agent/time/signals.ts': 'the caller gets the error, the queue only waits for the end',
  'agent/server/delivery.ts': 'without its tag a download begins anew',
  'src/demo/stack/git-host.ts': 'Git’s own exit says what went wrong',
  'src/demo/stack/service.ts': 'a race whose other side has ended',
  'src/git/protocol/local.ts': 'a broken ref, or a folder that cannot be read, counts as none',
  'src/http/swallow.ts': 'a sender that breaks off has ended its request',
  'src/inventory/csv.ts': 'the reader of the records gets the error',
  'src/notification/delivery/send.ts': 'the head of an answer decides, its body may break off',
  'src/prepare/preparer.ts': 'a thread that ends releases its memory by ending',
  'src/simulate/attempt.ts': 'the same promise is awaited later',
  'src/wire/archive.ts': 'the caller asks for the failure',
};

test('no error is dropped unseen: a catch names what it expects, or logs', async () => {
  const droppers: string[] = [];
  for (const file of await sourceFiles()) {
    if (under(file, 'bench') || under(file, 'web')) continue;
    if (/\.catch\(\(\) => (?:undefined|\{\})\)/.test(await readFile(join(ROOT, file), 'utf8'))) droppers.push(file);
  }
  expect(droppers.sort()).toEqual(Object.keys(UNSEEN).sort());
});

test('the environment is read in config.ts and the entry points only', async () => {
  const readers: string[] = [];
  for (const file of await sourceFiles()) {
    if (under(file, 'bench')) continue;
    if (/process\.env/.test(await readFile(join(ROOT, file), 'utf8'))) readers.push(file);
  }
  expect(readers.filter((file) => !/^(src\/main|src\/program|agent\/main|agent\/run|web\/vite\.config)\.ts$/.test(file))).toEqual([]);
});

test('no file imports itself round a circle', async () => {
  const graph = new Map<string, string[]>();
  for (const { from, to } of await imports()) if (to !== '') graph.set(from, [...(graph.get(from) ?? []), to]);
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: string[]): void => {
    if (path.includes(file)) return void circles.push([...path.slice(path.indexOf(file)), file].join(' → '));
    if (done.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  expect(circles).toEqual([]);
});

/** Source text without its comments. A comment stands behind white space, so that `/devices/*` and a URL in a string begin none. */
async function codeOf(file: string): Promise<string> {
  const text = await readFile(join(ROOT, file), 'utf8');
  return text.replace(/(?<=^|\s)\/\*[\s\S]*?\*\//gm, '').replace(/(?<=^|\s)\/\/.*$/gm, '');
}

const houseFiles = async () => (await sourceFiles()).filter((file) => /^(src|controller)\//.test(file));

/** The folder that owns each table: nothing else inserts into it, updates it or deletes from it. A trigger's table is written by no code. */
const OWNERS: Readonly<Record<string, string>> = {
  audit: 'src/audit',
  // An attempt pins what the device runs, in the statement that opens it.
  backups: 'src/deployment',
  blobs: 'src/bundle',
  bundles: 'src/bundle',
  commands: 'src/command',
  deployments: 'src/deployment',
  device_conflicts: 'src/integration',
  device_instances: 'src/device',
  device_keys: 'src/device',
  device_logs: 'src/device',
  device_pushes: 'src/adapter',
  device_reenrolments: 'src/device',
  device_service_assignments: 'src/integration',
  device_services: 'src/integration',
  device_sync_log: 'src/integration',
  device_words: 'a trigger',
  devices: 'src/device',
  enrolment_tokens: 'src/device',
  events: 'src/event',
  hook_deliveries: 'src/source',
  idempotency_keys: 'src/http',
  integration_hooks: 'src/integration',
  job_failures: 'src/db',
  merge_requests: 'src/plan',
  notification_attempts: 'src/notification',
  notification_deliveries: 'src/notification',
  notifications: 'src/notification',
  organizations: 'src/organization',
  revision_paths: 'src/revision',
  revisions: 'src/revision',
  rollout_approvals: 'src/rollout',
  rollout_statuses: 'src/plan',
  rollout_waves: 'src/rollout',
  rollouts: 'src/rollout',
  session_links: 'src/session',
  sessions: 'src/session',
  signing_keys: 'src/organization',
  sites: 'src/organization',
  source_dependencies: 'src/revision',
  source_paths: 'src/revision',
  sources: 'src/source',
  stale_paths: 'src/revision',
  telemetry: 'src/telemetry',
  tokens: 'src/organization',
};

/** Writes by others than the owner, each with its reason. */
const OTHER_WRITERS: readonly (readonly [file: string, table: string, reason: string])[] = [
  ['src/source/deliveries-store.ts', 'job_failures', 'a webhook waits for its answer: the delivery and what it triggers are one statement'],
  ['src/db/sealed-store.ts', '${', 'a rotation of the secret key seals the columns that their owners name'],
];

/** A table's name, or `${` where the code computes the name. */
const WRITE =
  /\b(?:insert\s+into|merge\s+into|delete\s+from|truncate\s+table)\s+([a-z_][\w.]*|\$\{)|\bupdate\s+(?:only\s+)?(?!set\b)([a-z_][\w.]*|\$\{[^}]*\})(?:\s+(?:as\s+)?[a-z_]\w*)?\s+set\b/g;

type Write = { file: string; table: string };

async function writes(): Promise<Write[]> {
  const found: Write[] = [];
  for (const file of await houseFiles())
    for (const [, inserted, updated] of (await codeOf(file)).matchAll(WRITE)) {
      const table = inserted ?? updated ?? '';
      found.push({ file, table: table.startsWith('${') ? '${' : table });
    }
  return found;
}

test('every table that a migration creates has one owner', async () => {
  const folder = join(ROOT, 'src/db/migrations');
  const created: string[] = [];
  for (const name of await readdir(folder))
    for (const [, table = ''] of (await readFile(join(folder, name), 'utf8')).matchAll(/^create table (\w+)/gm)) created.push(table);
  expect(created.sort()).toEqual(Object.keys(OWNERS).sort());
});

test('a table is written by its owner alone', async () => {
  const all = await writes();
  expect([...new Set(all.map(({ table }) => table))].filter((table) => OWNERS[table] !== undefined).sort()).toEqual(
    Object.keys(OWNERS)
      .filter((table) => OWNERS[table] !== 'a trigger')
      .sort(),
  );
  const foreign = all.filter(({ file, table }) => OWNERS[table] === undefined || !under(file, OWNERS[table]));
  const faults = foreign.filter(
    ({ file, table }) => !OTHER_WRITERS.some(([otherFile, otherTable]) => otherFile === file && otherTable === table),
  );
  expect(faults.map(({ file, table }) => `${file} writes ${table}`)).toEqual([]);
  const isThere = (file: string, table: string) => foreign.some((write) => write.file === file && write.table === table);
  expect(OTHER_WRITERS.filter(([file, table]) => !isThere(file, table))).toEqual([]);
});

/** Files of machines that may hold SQL although they are no stores. None of it is about a table of a noun. */
const SQL_OF_MACHINES: Readonly<Record<string, string>> = {
  'src/db/availability.ts': 'asks whether the database answers',
  'src/db/embedded.ts': 'creates the database',
  'src/db/postmaster.ts': 'asks whether an embedded PostgreSQL answers',
  'src/db/queue.ts': "reads the queue library's own tables",
};

/** A tagged template of a connection, whatever its type argument; text that begins as a statement does, whatever its tag; raw statements. */
const SQL = [
  /(?<![\w$])(?:\w*[sS]ql|tx|db|client)(?:<[^`;]*?>)?`/,
  /`\s*(?:select|insert\s+into|update\s+[\w$]|delete\s+from|with\s+\w+\s+as|lock\s+table|truncate\s+table|listen|notify)\b/,
  /(?<![\w$])(?:\w*[sS]ql|tx|db|client)\.(?:unsafe|file|query)\(/,
];

const isStore = (file: string) => /(?:^|[/-])store\.ts$/.test(file) || file.includes('/store/');

test('SQL stands in stores alone', async () => {
  const holders: string[] = [];
  for (const file of await houseFiles()) {
    const code = await codeOf(file);
    if (SQL.some((pattern) => pattern.test(code))) holders.push(file);
  }
  expect(holders.filter(isStore).length).toBeGreaterThan(20);
  const others = holders.filter((file) => !isStore(file));
  expect(others.filter((file) => SQL_OF_MACHINES[file] === undefined)).toEqual([]);
  expect(Object.keys(SQL_OF_MACHINES).filter((file) => !others.includes(file))).toEqual([]);
});

/** Words of an older dialect in comments, logs and texts, each with a plain word in its place (roll back, quarantined, diverged, trigger, fast, workers, fix). */
const DIALECT =
  /\b(?:condemned|astray|pok(?:e|es|ed|ing)|brisk|crews?|vacate[sd]?|mend(?:s|ed|ing)?|told|(?:go|goes|gone|going|went|way|ways) back|looks? at|looked at)\b/i;
/** The name of an applied migration. A limit's published text. */
const QUOTED = /0011_astray\.sql|looks at more than/g;

/** A sentence about an actor begins with it. */
const OPENING = /^\s*(?:\/\*\*|\/\/) (?:What|Who|Of|That which|From now on)\b/;

test('the code says things in the words of the field', async () => {
  const found: string[] = [];
  for (const file of await sourceFiles()) {
    const lines = (await readFile(join(ROOT, file), 'utf8')).replace(QUOTED, '').split('\n');
    for (const [index, line] of lines.entries())
      if (DIALECT.test(line) || OPENING.test(line)) found.push(`${file}:${index + 1}: ${line.trim()}`);
  }
  expect(found).toEqual([]);
});
