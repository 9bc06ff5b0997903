import { execFile } from 'node:child_process';
import { chmod, cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { validateCheckout } from '../../src/cli/validate/validate.ts';
import { openLocal } from '../../src/git/protocol/local.ts';
import { prepareRevision } from '../../src/prepare/prepare.ts';
import { bundleArchive, extractArchive } from '../../src/wire/archive.ts';

const run = promisify(execFile);
let dir = '';

async function git(...args: string[]): Promise<string> {
  const identity = {
    GIT_AUTHOR_NAME: 'A',
    GIT_AUTHOR_EMAIL: 'a@example.com',
    GIT_COMMITTER_NAME: 'A',
    GIT_COMMITTER_EMAIL: 'a@example.com',
  };
  const { stdout } = await run('git', args, { cwd: dir, timeout: 120_000, env: { PATH: process.env.PATH, HOME: dir, ...identity } });
  return stdout.trim();
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bellwether-prepare-'));
  await cp(fileURLToPath(new URL('../../fixtures/fleet/', import.meta.url)), dir, { recursive: true });
  await writeFile(join(dir, 'devices/till-0101/config/run.sh'), '#!/bin/sh\n');
  await chmod(join(dir, 'devices/till-0101/config/run.sh'), 0o755);
  await git('init', '-q', '-b', 'main');
  await git('add', '.');
  await git('commit', '-qm', 'first');
});
afterAll(() => rm(dir, { recursive: true }));

test('a commit of a real repository is prepared, then only what the next one touches, and each bundle travels whole', async () => {
  const first = await git('rev-parse', 'HEAD');
  const full = await prepareRevision(await openLocal(dir), { commit: first, layout: 'fleet', previous: null });
  expect(full).toMatchObject({ extent: 'full', errors: [], commit: { oid: first, message: 'first\n' } });
  expect(full.paths.map((path) => path.verdict)).toEqual(Array(5).fill('valid'));
  expect((await validateCheckout(dir)).paths).toBe(5);

  const till = full.paths.find((path) => path.path === 'devices/till-0101');
  expect(till?.bundle?.manifest.files.map((file) => [file.path, file.mode])).toEqual([
    ['config/run.sh', '0755'],
    ['config/terminal.json', '0644'],
  ]);
  for (const { bundle } of full.paths) {
    const archive = await bundleArchive(bundle!.manifest, ({ sha256 }) => full.blobs.get(sha256) ?? new Uint8Array());
    expect(archive.length).toBe(bundle!.size);
    const source = (async function* () {
      yield archive;
    })();
    const extracted = await extractArchive(source, { digest: bundle!.digest, maxBytes: 1e6, writeFile: () => undefined });
    expect(extracted).toEqual(bundle!.manifest);
  }

  await writeFile(join(dir, 'devices/router-lyon/config/router.yaml'), 'hostname: "not a host"\n');
  await git('rm', '-qr', 'devices/till-0102');
  await git('commit', '-qam', 'second');
  const previous = { commit: first, dependencies: [...new Set(full.paths.flatMap((path) => path.dependencies))] };
  const next = await prepareRevision(await openLocal(dir), { commit: await git('rev-parse', 'HEAD'), layout: 'fleet', previous });
  expect(next).toMatchObject({ extent: 'incremental', removed: ['devices/till-0102'], errors: [] });
  expect(next.paths.map((path) => [path.path, path.verdict])).toEqual([['devices/router-lyon', 'invalid']]);
  expect(next.paths[0]?.errors).toContainEqual(expect.objectContaining({ pointer: '/hostname', rule: 'format', line: 1 }));
});
