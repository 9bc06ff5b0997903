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

/** Rules of the one direction of imports: what matches is forbidden. */
const RULES: [rule: string, forbidden: (edge: Import) => boolean][] = [
  ['src/wire imports nothing of ours', ({ from, to }) => under(from, 'src/wire') && to !== '' && !under(to, 'src/wire')],
  ['the agent imports only src/wire', ({ from, to }) => under(from, 'agent') && to !== '' && !under(to, 'agent') && !under(to, 'src/wire')],
  ['the dashboard imports only src/wire', ({ from, to }) => under(from, 'web') && to !== '' && !under(to, 'web') && !under(to, 'src/wire')],
  [
    'src imports the controller and the agent only where the command line starts them',
    ({ from, to }) => under(from, 'src') && from !== 'src/cli/program.ts' && (under(to, 'controller') || under(to, 'agent')),
  ],
  [
    'nothing imports the entry point, benchmarks or tests',
    ({ from, to }) => !under(from, 'bench') && (to === 'src/main.ts' || to === 'agent/main.ts' || under(to, 'bench') || under(to, 'test')),
  ],
  ['stores never import stores', ({ from, to }) => /\/store\.ts$/.test(from) && /\/store\.ts$/.test(to)],
  ['only src/git imports isomorphic-git', ({ from, specifier }) => specifier === 'isomorphic-git' && !under(from, 'src/git')],
  [
    'a webhook provider is imported by the registry alone',
    ({ from, to }) =>
      /^src\/source\/webhook\/(gitlab|github|gitea|bitbucket-cloud|bitbucket-data-center|azure-devops|generic)\.ts$/.test(to) &&
      from !== 'src/source/webhook/registry.ts',
  ],
  [
    'a kind of git host is imported by the registry alone',
    ({ from, to }) => /^src\/forge\/(gitlab|github|gitea)\.ts$/.test(to) && from !== 'src/forge/registry.ts',
  ],
  [
    'an adapter is imported by the registry alone',
    ({ from, to }) => /^src\/adapter\/(?!adapter|registry)/.test(to) && from !== 'src/adapter/registry.ts',
  ],
  [
    'nouns, deciders and stores import no routes and no reconcilers',
    ({ from, to }) =>
      /\/(store|plan|merge|validate|why|reports|deployment|rollout|device|source|command)\.ts$/.test(from) &&
      under(from, 'src') &&
      /routes\.ts$|^src\/http\/|^controller\//.test(to),
  ],
];

test.each(RULES)('%s', async (_rule, forbidden) => {
  const all = await imports();
  expect(all.length).toBeGreaterThan(200);
  expect(all.filter(forbidden).map(told)).toEqual([]);
});

test('the environment is read in config.ts and the entry points only', async () => {
  const readers: string[] = [];
  for (const file of await sourceFiles()) {
    if (under(file, 'bench')) continue;
    if (/process\.env/.test(await readFile(join(ROOT, file), 'utf8'))) readers.push(file);
  }
  expect(readers.filter((file) => !/^(src\/main|src\/cli\/program|agent\/main|agent\/run)\.ts$/.test(file))).toEqual([]);
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
