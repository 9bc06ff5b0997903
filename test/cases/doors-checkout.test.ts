import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { committedFiles } from '../../src/cli/validate/committed-files.ts';
import { validateCheckout } from '../../src/cli/validate/validate.ts';
import { prepareRevision } from '../../src/prepare/prepare.ts';
import type { Layout } from '../../src/revision/revision.ts';
import { type Files, MemorySource } from '../revision/memory-source.ts';

const MANIFEST = 'apiVersion: bellwether/v1\nkind: DeviceConfig\n';
const JSONC = '{ // for people\n "image": "x" }';

describe('files that are never meant for devices', () => {
  const prepare = async (files: Files, layout: Layout = 'repo') => {
    const source = new MemorySource();
    return prepareRevision(source, { commit: source.commit(files), layout, previous: null, sourceName: 'tills' });
  };
  const sent = async (files: Files, layout?: Layout) => {
    const { paths, errors } = await prepare(files, layout);
    expect([...errors, ...paths.flatMap((path) => path.errors)].map(({ message }) => message)).toEqual([]);
    return paths[0]?.bundle?.manifest.files.map(({ path }) => path);
  };
  const refused = async (files: Files) =>
    (await prepare(files)).paths.flatMap(({ errors }) => errors.map(({ message }) => message)).join('\n');

  const people: Files = {
    '.devcontainer/devcontainer.json': JSONC,
    '.gitlab-ci.yml': 'a: !reference [b, c]\n\t',
    '.github/workflows/ci.yml': 'on: push\n\tx',
    '.gitignore': 'x',
    '.editorconfig': 'x',
    '.vscode/settings.json': JSONC,
    'README.md': '# for people',
    'readme.de.md': 'x',
    LICENSE: 'x',
    'LICENSE-MIT': 'x',
    'CHANGELOG.md': 'x',
    Jenkinsfile: 'x',
    'azure-pipelines.yml': 'a: [',
    CODEOWNERS: 'x',
  };

  test('layout repo without a manifest: hidden and CI files are neither sent nor judged', async () => {
    expect(await sent({ ...people, 'app/config.json': '{}', 'app/README.md': 'the device has it', 'READMEs/a': 'x' })).toEqual([
      'READMEs/a',
      'app/README.md',
      'app/config.json',
    ]);
  });

  test('with a manifest, and in a fleet', async () => {
    expect(await sent({ ...people, 'bellwether.yaml': MANIFEST, 'a.txt': 'a' })).toEqual(['a.txt']);
    const inFolder = Object.fromEntries(Object.entries(people).map(([path, text]) => [`devices/till-1/${path}`, text]));
    const fleet = 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: devices/*\n';
    expect(await sent({ ...people, 'fleet.yaml': fleet, ...inFolder, 'devices/till-1/a.txt': 'a' }, 'fleet')).toEqual(['a.txt']);
  });

  test.each([
    ['- from: .env', ['.env']],
    ['- from: ".config/**"', ['.config/a']],
    ['- from: ".*"', ['.env']],
    ['- from: ".config/.*"', ['.config/.b']],
    ['- from: "**/*.md"', ['README.md', 'docs/x.md']],
    ['- from: README.md', ['README.md']],
    ['- from: "**"\n- from: .env\n  to: env', ['docs/x.md', 'env']],
  ])('an entry of `files` that names them takes them: %s', async (entry, expected) => {
    const files = { '.env': 'A=1', '.config/a': 'a', '.config/.b': 'b', 'README.md': 'x', 'docs/x.md': 'x' };
    expect(await sent({ ...files, 'bellwether.yaml': `${MANIFEST}files:\n${entry}\n` })).toEqual(expected);
  });

  test('`ignore` leaves out what is neither sent nor validated', async () => {
    const manifest = `${MANIFEST}ignore: [tsconfig.json, "tools/**", "**/*.test.json"]\n`;
    expect(
      await sent({ 'bellwether.yaml': manifest, 'tsconfig.json': JSONC, 'tools/x.json': '{', 'a/b.test.json': '{', 'a/b.json': '{}' }),
    ).toEqual(['a/b.json']);
  });

  test('the errors name the way', async () => {
    expect(await refused({ 'tsconfig.json': JSONC })).toMatch(
      /tsconfig\.json:1.*; if it is not meant for devices, name it under "ignore" in bellwether\.yaml/,
    );
    expect(await refused(people)).toMatch(
      /selects no file: .*files that begin with a dot, README, .*name those that a device needs under "files" in bellwether\.yaml/,
    );
    expect(await refused({ '.a/b': 'x', c: 'x', 'bellwether.yaml': `${MANIFEST}files: [{ from: "*/b" }]\n` })).toMatch(
      /"\*\/b", which matches no file of this folder: files that begin with a dot/,
    );
  });
});

describe('validate judges what Git would commit', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'bellwether-checkout-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  const put = async (files: Record<string, string>): Promise<void> => {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
  };
  const git = (...args: string[]) =>
    promisify(execFile)('git', args, { cwd: root, env: { PATH: process.env.PATH, HOME: root, GIT_CONFIG_NOSYSTEM: '1' } });
  const errorsOf = async (dir = root) => (await validateCheckout(dir)).errors.map(({ message }) => message);
  const rubbish = async (folder = ''): Promise<void> => {
    await put({ [`${folder}venv/lib/a.json`]: '{', [`${folder}node_modules/.bin/x`]: 'x', [`${folder}build/out.json`]: '{' });
    await symlink('/usr/bin/python3', join(root, folder, 'venv/python'));
    await symlink('../x', join(root, folder, 'node_modules/.bin/y'));
  };

  test('what .gitignore, .git/info/exclude and nested files ignore does not count', async () => {
    await git('init', '-q');
    await rubbish();
    await rubbish('app/');
    await put({
      '.gitignore': 'venv/\nnode_modules\n',
      '.git/info/exclude': '/build/\n',
      'app/.gitignore': 'build/*\n',
      'app/a.json': '{}',
    });
    expect(await errorsOf()).toEqual([]);
    expect([...(await committedFiles(root)).files].sort()).toEqual(['.gitignore', 'app/.gitignore', 'app/a.json']);
    expect(await errorsOf(join(root, 'app'))).toEqual([]);
    await put({ 'app/b.json': '{' });
    expect((await errorsOf()).join()).toContain('app/b.json');
  });

  test('a tracked file counts though it is ignored now, a deleted one does not', async () => {
    await git('init', '-q');
    await put({ 'a.json': '{}', 'kept.json': '{', 'gone.json': '{' });
    await git('add', '-A');
    await put({ '.gitignore': 'kept.json\n' });
    await rm(join(root, 'gone.json'));
    const errors = (await errorsOf()).join();
    expect(errors).toContain('kept.json');
    expect(errors).not.toContain('gone.json');
  });

  test('outside a repository, .gitignore counts all the same', async () => {
    await rubbish();
    await rubbish('app/');
    await put({
      '.gitignore': 'venv/\nnode_modules\nbuild/\n*.log\n!keep.log\n',
      'app/.gitignore': '!build/\n/build/*\n!/build/keep.json\n',
    });
    await put({ 'a.log': '', 'keep.log': '', 'app/build/keep.json': '{}', 'a.json': '{}' });
    expect(await errorsOf()).toEqual([]);
    expect([...(await committedFiles(root)).files].sort()).toEqual(
      ['.gitignore', 'a.json', 'app/.gitignore', 'app/build/keep.json', 'keep.log'].sort(),
    );
  });

  test('a directory that its repository ignores as a whole is judged all the same', async () => {
    await git('init', '-q');
    await put({ '.gitignore': 'out/\n', 'out/a.json': '{' });
    expect((await errorsOf(join(root, 'out'))).join()).toContain('a.json');
  });

  test('a repository inside is one id to Git, and refused as the controller does', async () => {
    await git('init', '-q');
    await put({ 'a.json': '{}', 'inner/b.json': '{}' });
    await git('-C', join(root, 'inner'), 'init', '-q');
    await git('-C', join(root, 'inner'), 'add', '-A');
    expect((await errorsOf()).join()).toMatch(/inner/);
  });
});
