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
      'adapter',
    ],
  ],
  ['work', ['prepare', 'preview', 'rollout', 'plan', 'hook', 'report', 'delivery', 'notification', 'inventory', 'live']],
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
      /^src\/source\/webhook\/(gitlab|github|gitea|bitbucket-cloud|bitbucket-data-center|azure-devops|generic)\.ts$/.test(to) &&
      from !== 'src/source/webhook/registry.ts',
  ],
  [
    'a kind of git host is imported by the registry alone',
    ({ from, to }) => /^src\/forge\/kinds\/(gitlab|github|gitea)\.ts$/.test(to) && from !== 'src/forge/registry.ts',
  ],
  [
    'an adapter is imported by the registry alone',
    ({ from, to }) => /^src\/adapter\/(?!adapter|registry)/.test(to) && from !== 'src/adapter/registry.ts',
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
  expect(readers.filter((file) => !/^(src\/main|src\/program|agent\/main|agent\/run)\.ts$/.test(file))).toEqual([]);
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
