import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addSecretKey, keepOneSecretKey, loadSecretKeys, readSecretKeys, SECRET_KEY_FILE } from '../src/crypto/secret-key.ts';

const run = promisify(execFile);
const invalid = expect.objectContaining({ code: 'secret_key_invalid' });
let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'bellwether-key-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

test('a given value is used, and no file is created', async () => {
  const bytes = randomBytes(32);
  const keys = await loadSecretKeys({ value: bytes.toString('base64'), dataDir });
  expect(keys.map(({ key }) => Buffer.from(key))).toEqual([bytes]);
  expect(await readdir(dataDir)).toEqual([]);
});

test('the key file is created once with mode 0600, and read again', async () => {
  const nested = join(dataDir, 'made', 'here');
  const first = await loadSecretKeys({ dataDir: nested });
  const second = await loadSecretKeys({ dataDir: nested });
  expect(first.map(({ key }) => key.length)).toEqual([32]);
  expect(second).toEqual(first);
  expect((await stat(join(nested, SECRET_KEY_FILE))).mode & 0o777).toBe(0o600);
  expect(await readdir(nested)).toEqual([SECRET_KEY_FILE]);
});

test('processes that start at once end with the same key', async () => {
  const module = new URL('../src/crypto/secret-key.ts', import.meta.url).href;
  const script = `const { loadSecretKeys } = await import(${JSON.stringify(module)});
    const [{ key }] = await loadSecretKeys({ dataDir: ${JSON.stringify(dataDir)} });
    process.stdout.write(Buffer.from(key).toString('hex'));`;
  const args = ['--input-type=module', '-e', script];
  const outputs = await Promise.all(Array.from({ length: 4 }, () => run(process.execPath, args, { timeout: 120_000 })));
  const within = await Promise.all(Array.from({ length: 16 }, () => loadSecretKeys({ dataDir })));
  const keys = [...outputs.map(({ stdout }) => stdout), ...within.flatMap((all) => all.map(({ key }) => Buffer.from(key).toString('hex')))];
  expect(keys[0]).toMatch(/^[0-9a-f]{64}$/);
  expect(new Set(keys).size).toBe(1);
});

test('loads that race for an empty directory end with the same key', async () => {
  const loaded = await Promise.all(Array.from({ length: 32 }, () => loadSecretKeys({ dataDir })));
  expect(new Set(loaded.map((all) => all.map(({ id }) => id).join())).size).toBe(1);
  expect(await readdir(dataDir)).toEqual([SECRET_KEY_FILE]);
});

test.each([
  ['too short', randomBytes(31).toString('base64')],
  ['too long', randomBytes(33).toString('base64')],
  ['not base64', `${randomBytes(32).toString('base64').slice(0, -1)}!`],
  ['empty', ''],
])('a key that is %s is refused, from a value and from the file', async (_what, text) => {
  await expect(loadSecretKeys({ value: text, dataDir })).rejects.toThrow(invalid);
  await writeFile(join(dataDir, SECRET_KEY_FILE), text, { mode: 0o600 });
  await expect(loadSecretKeys({ dataDir })).rejects.toThrow(invalid);
});

test('a key file that everybody can read is refused', async () => {
  await loadSecretKeys({ dataDir });
  await chmod(join(dataDir, SECRET_KEY_FILE), 0o644);
  await expect(loadSecretKeys({ dataDir })).rejects.toThrow(/its mode is 0644, must be 0600/);
});

test('a configured list has several keys, the first of which seals, and an invalid key among them is refused', async () => {
  const [one, two] = [randomBytes(32), randomBytes(32)];
  const value = `${one.toString('base64')}, ${two.toString('base64')}`;
  const keys = await loadSecretKeys({ value, dataDir });
  expect(keys.map(({ key }) => Buffer.from(key))).toEqual([one, two]);
  await expect(loadSecretKeys({ value: `${value},`, dataDir })).rejects.toThrow(invalid);
});

test('an added key comes first, the file stays 0600, and keeping one key removes the old ones', async () => {
  const [old] = await loadSecretKeys({ dataDir });
  const [added, ...others] = await addSecretKey(dataDir);
  expect(others).toEqual([old]);
  expect(added?.id).not.toBe(old?.id);
  expect(readSecretKeys(dataDir)).toEqual([added, old]);
  expect((await stat(join(dataDir, SECRET_KEY_FILE))).mode & 0o777).toBe(0o600);
  await keepOneSecretKey(dataDir, added!);
  expect(await loadSecretKeys({ dataDir })).toEqual([added]);
  expect(await readdir(dataDir)).toEqual([SECRET_KEY_FILE]);
});

test('a missing key file is reported and not created again, since existing texts need the old key', async () => {
  await loadSecretKeys({ dataDir });
  await rm(join(dataDir, SECRET_KEY_FILE));
  expect(() => readSecretKeys(dataDir)).toThrow(invalid);
});
