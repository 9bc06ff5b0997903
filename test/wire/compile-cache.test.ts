import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bellwether-compiled-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const help = async (cache: string) => {
  const env = { PATH: process.env.PATH, NODE_COMPILE_CACHE: cache };
  return (await promisify(execFile)(process.execPath, [MAIN, '--help'], { env })).stdout;
};

test('what is compiled is kept in the folder of the environment, and the next start says the same', async () => {
  const cache = join(dir, 'cache');
  const first = await help(cache);
  const [version = ''] = await readdir(cache);
  // The program itself, and not only the few lines that came before the folder was known.
  expect((await readdir(join(cache, version))).length).toBeGreaterThan(20);
  expect(await help(cache)).toBe(first);
});

test('a folder that cannot be made keeps nothing, and the program does its work', async () => {
  await writeFile(join(dir, 'a file'), '');
  expect(await help(join(dir, 'a file', 'cache'))).toContain('GitOps for device fleets');
});
