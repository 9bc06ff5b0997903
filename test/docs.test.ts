import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { registerClientCommands } from '../src/cli/commands/register.ts';
import { registerKeysCommands } from '../src/cli/keys.ts';
import { registerDemoCommand } from '../src/demo/command.ts';
import { registerSimulateCommand } from '../src/simulate/command.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

type Page = { file: string; text: string };

async function pages(): Promise<Page[]> {
  const names = (await readdir(join(ROOT, 'docs'))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`);
  const files = ['README.md', 'bench/README.md', 'fixtures/README.md', ...names];
  return Promise.all(files.map(async (file) => ({ file, text: await readFile(join(ROOT, file), 'utf8') })));
}

async function sources(): Promise<Page[]> {
  const found: Page[] = [];
  for (const side of ['src', 'controller', 'agent', 'bench', 'test/support', 'deploy']) {
    for (const entry of await readdir(join(ROOT, side), { recursive: true, withFileTypes: true })) {
      const file = relative(ROOT, join(entry.parentPath, entry.name));
      if (entry.isFile()) found.push({ file, text: await readFile(join(ROOT, file), 'utf8') });
    }
  }
  return found;
}

/** Pages that people write. Texts of generated pages stand in the code, beside their own tests. */
const writtenPages = async () => (await pages()).filter(({ text }) => !/(?:Generated|written) from .?src\//.test(text.slice(0, 500)));

const withoutFences = (text: string) => text.replace(/^ *```.*?^ *```$/gms, '');
const fences = (text: string) => [...text.matchAll(/^ *```[^\n]*\n(.*?)^ *```$/gms)].map(([, body = '']) => body);
const spans = (text: string) => [...withoutFences(text).matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);

test('every link leads to a file, and every anchor to a heading in it', async () => {
  const slugs = new Map<string, string[]>();
  for (const { file, text } of await pages()) {
    const headings = [...withoutFences(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
    slugs.set(file, headings.map(slugOf));
  }
  const broken: string[] = [];
  for (const { file, text } of await pages()) {
    for (const [, target = ''] of withoutFences(text).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const to = path === '' ? file : relative(ROOT, resolve(ROOT, dirname(file), path));
      const isAnchor = anchor === undefined || slugs.get(to)?.includes(anchor);
      if (!existsSync(join(ROOT, to)) || !isAnchor) broken.push(`${file}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
});

/** As GitHub makes an anchor of a heading. */
function slugOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

test('every page is linked from the README', async () => {
  const [readme] = await pages();
  const names = (await readdir(join(ROOT, 'docs'))).filter((name) => name.endsWith('.md'));
  expect(names.filter((name) => !readme?.text.includes(`docs/${name}`))).toEqual([]);
});

test('every path of the repository that a page names exists', async () => {
  const missing: string[] = [];
  for (const { file, text } of await pages()) {
    for (const span of spans(text)) {
      if (!/^(src|controller|agent|test|bench|deploy|docs|fixtures|patches|findings|schemas)\/[\w./*<>-]*$/.test(span)) continue;
      // Repositories of users have a folder `schemas` as well.
      if (/^schemas\/.*schema\.json$/.test(span) && file !== 'docs/getting-started.md') continue;
      const fixed = /[*<]/.test(span) ? dirname(`${span.slice(0, span.search(/[*<]/))}x`) : span;
      if (!existsSync(join(ROOT, fixed))) missing.push(`${file}: ${span}`);
    }
  }
  expect(missing).toEqual([]);
});

test('every npm script that a page names exists', async () => {
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  const missing: string[] = [];
  for (const { file, text } of await pages())
    for (const [, name = ''] of text.matchAll(/\bnpm run ([\w:-]+)/g)) if (!Object.hasOwn(scripts, name)) missing.push(`${file}: ${name}`);
  expect(missing).toEqual([]);
});

/** The command line as `src/program.ts` builds it. */
async function commandLine(): Promise<Command> {
  const program = new Command('bellwether');
  const out = () => undefined;
  registerDemoCommand(program);
  registerSimulateCommand(program, {});
  registerKeysCommands(program, { env: {}, out });
  registerClientCommands(program, { out, err: out, env: {} });
  const text = await readFile(join(ROOT, 'src/program.ts'), 'utf8');
  for (const [whole, name = ''] of text.matchAll(/\.command\('(\w+).*?\.action/gs)) {
    const command = program.command(name);
    for (const [, flag = ''] of whole.matchAll(/\.option\(\s*'([^']+)'/g)) command.option(flag);
  }
  return program;
}

test('every command and option that a page names exists', async () => {
  const program = await commandLine();
  const wrong: string[] = [];
  for (const { file, text } of await pages()) {
    const lines = fences(text).flatMap((body) => body.split('\n'));
    const called = lines.flatMap((line) => [...line.matchAll(/(?:npm start --|\$ bellwether|^bellwether|src\/main\.ts) ([a-z][^#|&]*)/g)]);
    const uses = [
      ...called.map(([, use = '']) => use),
      ...spans(text).map((span) => span.replace(/^(bellwether|npm start --) (?=[a-z])/, '')),
    ];
    for (const use of uses) {
      const fault = faultOf(program, use);
      if (fault !== undefined) wrong.push(`${file}: ${use}: ${fault}`);
    }
  }
  expect(wrong).toEqual([]);
});

/** Text that begins with no command, such as `devices/*`, has no fault. */
function faultOf(program: Command, use: string): string | undefined {
  const [name = '', ...words] = use.trim().split(/\s+/);
  let command = program.commands.find((candidate) => candidate.name() === name);
  if (command === undefined || name === 'agent') return undefined;
  const [verb] = words;
  if (command.commands.length > 0 && verb !== undefined && /^[a-z|\\-]+$/.test(verb) && !verb.startsWith('-')) {
    for (const one of verb.split(/\\?\|/)) if (!command.commands.some((sub) => sub.name() === one)) return `no command "${one}"`;
    command = command.commands.find((sub) => sub.name() === verb.split(/\\?\|/)[0]) ?? command;
  }
  const known = command.options.flatMap(({ long, short }) => [long, short]);
  const isDefault = command.commands.flatMap((sub) => sub.options.map(({ long }) => long));
  const given = words.join(' ').match(/(?<![\w-])--[a-z-]+/g) ?? [];
  return given.find((option) => ![...known, ...isDefault, '--help'].includes(option));
}

test('every setting that a page names is read somewhere', async () => {
  const texts = [...(await sources()), { file: 'package.json', text: await readFile(join(ROOT, 'package.json'), 'utf8') }];
  // Written to the hook's environment, read by the C library, or examples of users' own names.
  const foreign = ['DB_PASSWORD', 'SOURCE_ID', 'CI_COMMIT_SHA', 'CODE_OF_CONDUCT'];
  const read = (name: string) => foreign.includes(name) || texts.some(({ text }) => text.includes(name));
  const missing: string[] = [];
  for (const { file, text } of await pages())
    for (const [name] of text.matchAll(/(?<![\w.])[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+\b/g))
      if (!read(name) && !read(name.replace(/^BELLWETHER_(AGENT_)?/, ''))) missing.push(`${file}: ${name}`);
  expect(missing).toEqual([]);
});

test('every setting of the service is on the page of settings', async () => {
  const config = await readFile(join(ROOT, 'src/config.ts'), 'utf8');
  const names = [...config.matchAll(/^ {2}([A-Z][A-Z_]+):/gm)].map(([, name = '']) => name).filter((name) => name !== 'BELLWETHER_FAULT');
  const page = await readFile(join(ROOT, 'docs/settings.md'), 'utf8');
  expect(names.length).toBeGreaterThan(20);
  expect(names.filter((name) => !page.includes(name))).toEqual([]);
});

/** Sentences of the text that people read: paragraphs, items and cells of tables. */
function sentences(text: string): string[] {
  const blocks: string[] = [];
  let open = '';
  const close = () => {
    if (open.trim() !== '') blocks.push(open);
    open = '';
  };
  for (const line of withoutFences(text).split('\n')) {
    if (/^\s*(\||#|[-*] |\d+\. |$)/.test(line)) close();
    if (/^\s*\|/.test(line)) blocks.push(...line.replaceAll('\\|', '/').split('|'));
    else open += ` ${line.replace(/^\s*([-*]|\d+\.|#+) /, '')}`;
    if (/^#/.test(line)) close();
  }
  close();
  return blocks
    .flatMap((block) =>
      block
        .replace(/`[^`]*`/g, '`x`')
        .replace(/\]\([^)]*\)/g, ']')
        .split(/(?<=[.?!])["*)]*\s+/),
    )
    .filter((one) => /\w/.test(one));
}

const words = (sentence: string) => sentence.split(/\s+/).filter((word) => /[\p{L}\p{N}`]/u.test(word)).length;

test('no sentence of a page is longer than 30 words', async () => {
  const long: string[] = [];
  for (const { file, text } of await writtenPages())
    for (const sentence of sentences(text)) if (words(sentence) > 30) long.push(`${words(sentence)} ${file}: ${sentence.trim()}`);
  expect(long).toEqual([]);
});

const RIDDLE = /^[\s*"(]*(What|Whatever|Who|Whoever|Of|That which)\b/;

test('no sentence of a page begins with the words of a riddle', async () => {
  const riddles: string[] = [];
  for (const { file, text } of await writtenPages())
    for (const sentence of sentences(text)) if (RIDDLE.test(sentence)) riddles.push(`${file}: ${sentence.trim()}`);
  expect(riddles).toEqual([]);
});

/** Words that the project does not use for its own things. */
const AVOIDED =
  /\b(condemned|astray|settled|pok(e|es|ed|ing)|brisk|crews?|vacate[sd]?|mend(s|ed|ing)?|tells?|told|telling|(go|goes|gone|going|went|way|ways) back|(give|gives|gave|given) back|nobody|looks? at|looked at|occup(y|ies))\b/i;

test('no page has a word that the project avoids', async () => {
  const found: string[] = [];
  for (const { file, text } of await writtenPages())
    for (const sentence of sentences(text)) {
      const [word] = AVOIDED.exec(sentence) ?? [];
      if (word !== undefined) found.push(`${file}: ${word}: ${sentence.trim()}`);
    }
  expect(found).toEqual([]);
});

/** Texts of `--help`, and of the API's description. */
async function helpTexts(): Promise<string[]> {
  const texts: string[] = [];
  const visit = (command: Command): void => {
    texts.push(command.description(), ...command.options.map((option) => option.description));
    for (const sub of command.commands) visit(sub);
  };
  visit(await commandLine());
  for (const { file, text } of await sources()) {
    if (!/^src\/(api\/|http\/kit\.ts|program\.ts)/.test(file)) continue;
    for (const [, , described = ''] of text.matchAll(/(?:description:|\.description\(|json\([\w.()[\], ]+,)\s*(['"`])(.*?)\1/gs))
      texts.push(described);
  }
  return texts.flatMap((text) => text.split(/(?<=[.;])\s+/)).filter((text) => text !== '');
}

test('help and API descriptions are short sentences in the words of the project', async () => {
  const texts = await helpTexts();
  expect(texts.length).toBeGreaterThan(250);
  expect(texts.filter((text) => words(text) > 25 || AVOIDED.test(text) || RIDDLE.test(text))).toEqual([]);
});

test('the README has at most 150 lines', async () => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  expect(readme.split('\n').length).toBeLessThanOrEqual(151);
});

test('the map of floors names every folder of the table of floors, in its order', async () => {
  const table = await readFile(join(ROOT, 'test/imports.test.ts'), 'utf8');
  const floors = table.slice(table.indexOf('const FLOORS'), table.indexOf('const ORDER'));
  const folders = [...floors.matchAll(/'([a-z]+)'/g)].map(([, name = '']) => name).filter((name) => name !== 'programs');
  const map = await readFile(join(ROOT, 'docs/development.md'), 'utf8');
  const rows = map.slice(map.indexOf('## Floors'), map.indexOf('## The path of a commit'));
  const cells = [...rows.matchAll(/^\| (\w+) \| ([^|]+) \|/gm)].slice(1).flatMap(([, floor, list = '']) => [floor, ...spans(list)]);
  expect(folders.length).toBeGreaterThan(30);
  expect(cells.filter((cell) => cell !== undefined && folders.includes(cell))).toEqual(folders);
});
