import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { isAlias, isMap, isNode, parseDocument } from 'yaml';
import { merged, read, toYaml, yamlPatch, yamlTree } from '../cases/documents.ts';

/**
 * Merges random YAML files, and lets the readers that devices have read the part that no patch names, before and after: PyYAML (YAML 1.1), go-yaml
 * (both) and yaml (1.1 and 1.2). `npm run test:readers -- 500`: how many files. PyYAML and go-yaml are installed into a temporary folder when they
 * are missing; where that fails, the report says so.
 */

/** What the random files do not have. */
const ODD = `defaults: &defaults { port: 80, tls: true }
till: { <<: *defaults, port: 8080 }
again: *defaults
odd: =
hex: 0X1F
bits: 0B11
octal: 0o17
tab: "a\\tb"
`;

type Case = { base: string; merged: string /** Positions of untouched pairs in both. */; pairs: [number, number][] };

const HERE = dirname(fileURLToPath(import.meta.url));

function makeCases(count: number): Case[] {
  const trees = fc.sample(fc.tuple(yamlTree, yamlPatch, fc.constantFrom(0, 2, 4)), { numRuns: count, seed: 20261130 });
  return trees.map(([tree, patch, step]) => {
    const base = ODD + toYaml(tree, step);
    const change = toYaml(patch, 2);
    const text = merged(base, change);
    const [before, named, after] = [base, change, text].map(namesOf);
    const pairs = (before ?? []).flatMap((name, index): [number, number][] =>
      named?.includes(name) ? [] : [[index, after?.indexOf(name) ?? -1]],
    );
    return { base, merged: text, pairs };
  });
}

function namesOf(text: string): string[] {
  const root = read(text).roots[0];
  return root?.kind === 'map' ? root.pairs.map((pair) => pair.name) : [];
}

/** Untouched pairs that the package reads in another way. */
function differencesOfYaml(cases: readonly Case[], version: '1.1' | '1.2'): number {
  const at = (text: string, index: number): string => {
    const document = parseDocument(text, { version, schema: version === '1.1' ? 'yaml-1.1' : 'core', merge: true, logLevel: 'silent' });
    const pair = isMap(document.contents) ? document.contents.items[index] : undefined;
    const [key, value] = [pair?.key, pair?.value];
    const values = [key, value].map((node) => (isNode(node) ? node.toJS(document) : null));
    return JSON.stringify([values, isNode(value) && !isAlias(value) ? value.tag : null], (_name, inner: unknown) =>
      typeof inner === 'number' ? `number ${inner}` : inner,
    );
  };
  return cases.flatMap((one) => one.pairs.filter(([before, after]) => at(one.base, before) !== at(one.merged, after))).length;
}

function run(command: string, args: readonly string[], cwd: string, env: Record<string, string> = {}): { ok: boolean; output: string } {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: 300_000,
  });
  return { ok: status === 0, output: (stdout ?? '').trim() || (stderr ?? '').trim() || String(error ?? '') };
}

function askPython(folder: string, file: string): string {
  const site = join(folder, 'site');
  const has =
    run('python3', ['-c', 'import yaml'], folder).ok ||
    run('python3', ['-m', 'pip', 'install', '-q', '--target', site, 'PyYAML==6.0.3'], folder).ok;
  if (!has) return 'PyYAML is missing: not asked';
  return run('python3', [join(HERE, 'pyyaml.py'), file], folder, { PYTHONPATH: site }).output;
}

async function askGo(folder: string, file: string): Promise<string> {
  const module = join(folder, 'go');
  await mkdir(module);
  await writeFile(join(module, 'go.mod'), 'module readers\n\ngo 1.21\n\nrequire gopkg.in/yaml.v3 v3.0.1\n');
  if (!run('cp', [join(HERE, 'goyaml.go.txt'), 'main.go'], module).ok || !run('go', ['mod', 'tidy'], module).ok)
    return 'go-yaml is missing: not asked';
  return run('go', ['run', '.', file], module).output;
}

const count = Number(process.argv[2] ?? 300);
const folder = await mkdtemp(join(tmpdir(), 'readers-'));
try {
  const cases = makeCases(count);
  const file = join(folder, 'cases.json');
  await writeFile(file, JSON.stringify(cases));
  const total = cases.reduce((sum, one) => sum + one.pairs.length, 0);
  const reports = [
    ...(['1.1', '1.2'] as const).map((version) => `yaml, YAML ${version}: ${differencesOfYaml(cases, version)} differences`),
    askPython(folder, file),
    await askGo(folder, file),
  ];
  console.log([`${cases.length} merges, ${total} untouched values`, ...reports].join('\n'));
  if (reports.some((report) => !/: (?:0 differences|not asked)$/.test(report))) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
