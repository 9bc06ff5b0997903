import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { startDemo } from '../support/demo.ts';

test('demo --exit shows a good commit on ten devices, a refused one and a rollback, says so in one line of JSON, and leaves nothing behind', async () => {
  await using demo = await startDemo(['--exit']);
  await demo.says('All 10 devices run');
  // The service, its PostgreSQL and ten agents: the same search finds none of them at the end.
  expect((await demo.processes()).length).toBeGreaterThanOrEqual(12);
  expect(await demo.ended).toEqual({ code: 0, signal: null });
  const result = demo.result();
  expect(result).toEqual({
    devices: 10,
    applied: 10,
    rejectedRevisions: 1,
    rolledBack: 1,
    pushToAppliedMs: { p50: expect.any(Number), p99: expect.any(Number) },
    ok: true,
  });
  expect(result.pushToAppliedMs.p50).toBeGreaterThan(0);
  expect(result.pushToAppliedMs.p99).toBeGreaterThanOrEqual(result.pushToAppliedMs.p50);
  expect(demo.output()).toMatch(/config\/terminal\.json:\d+ +\/vlan\/id +maximum 4094, but it is 5000/);
  expect(demo.output()).toContain('this host does not resolve: config/router.yaml');
  expect(demo.complaints()).toBe('');
  await demo.expectNothingLeft();
}, 900_000);

test('demo stays up: a push by a person, as it suggests, reaches the device, and Ctrl-C ends everything', async () => {
  await using demo = await startDemo(['--devices', '2']);
  await demo.says('Ctrl-C ends everything');
  await demo.says('/login#code=');
  await expectLinkSignsIn(demo.output());
  const [, url = '', folder = ''] = /git clone (\S+) && cd (\S+)/.exec(demo.output()) ?? [];
  const [, file = '', line = '', bad = '', good = ''] = /# edit (\S+), line (\d+): (.+) to (.+)/.exec(demo.output()) ?? [];
  const clone = join(demo.tmp, folder);
  await git(demo.tmp, ['clone', '--quiet', url, clone]);
  const lines = (await readFile(join(clone, file), 'utf8')).split('\n');
  expect(lines[Number(line) - 1]).toContain(bad);
  lines[Number(line) - 1] = lines[Number(line) - 1]?.replace(bad, good) ?? '';
  await writeFile(join(clone, file), lines.join('\n'));
  await git(clone, ['-c', 'user.name=Grace', '-c', 'user.email=grace@example.com', 'commit', '--quiet', '--all', '-m', 'Mend']);
  const told = demo.output().length;
  await git(clone, ['push', '--quiet']);
  await demo.says('by Grace is valid', told);
  await demo.says('till-1: succeeded', told);
  expect(await readFile(join(dataFolderOf(demo.output()), 'devices', 'till-1', 'current', file), 'utf8')).toContain(good);
  await rm(clone, { recursive: true });
  demo.child.kill('SIGINT');
  expect(await demo.ended).toEqual({ code: 0, signal: null });
  await demo.expectNothingLeft();
}, 900_000);

test('demo --exit whose agent dies says what went wrong, ends with 1 and "ok":false, and leaves nothing behind', async () => {
  await using demo = await startDemo(['--exit', '--devices', '2']);
  await demo.says('All 7 devices run');
  const agent = (await demo.processes()).find(({ command }) => command.includes('--device-id router-lyon'));
  process.kill(agent?.pid ?? Number.NaN, 'SIGKILL');
  expect(await demo.ended).toEqual({ code: 1, signal: null });
  expect(demo.complaints()).toContain('agent of router-lyon ended with SIGKILL');
  expect(demo.result()).toMatchObject({ devices: 7, ok: false, reason: expect.stringContaining('router-lyon ended') });
  await demo.expectNothingLeft();
}, 900_000);

test('demo --exit that cannot start says why and ends with 1 and "ok":false', async () => {
  await using demo = await startDemo(['--exit', '--data', fileURLToPath(new URL('.', import.meta.url))]);
  expect(await demo.ended).toEqual({ code: 1, signal: null });
  expect(demo.complaints()).toMatch(/must be empty/);
  const nothing = { devices: 0, applied: 0, rejectedRevisions: 0, rolledBack: 0, pushToAppliedMs: { p50: null, p99: null } };
  expect(JSON.parse(demo.output())).toEqual({ ...nothing, ok: false, reason: expect.stringContaining('must be empty') });
  await demo.expectNothingLeft();
});

/** The last line is the address of the dashboard, whose code signs in. */
async function expectLinkSignsIn(output: string): Promise<void> {
  const link = new URL(output.trimEnd().split('\n').at(-1)?.trim() ?? '');
  const code = new URLSearchParams(link.hash.slice(1)).get('code');
  const answer = await fetch(new URL('/api/v1/session', link), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ code }),
  });
  expect([answer.status, await answer.json()]).toMatchObject([201, { role: 'admin', via: 'session' }]);
}

/** Where it keeps the devices' disks, as it tells. */
function dataFolderOf(output: string): string {
  return /disks: (\S+)/.exec(output)?.[1] ?? '';
}

async function git(cwd: string, args: string[]): Promise<void> {
  await promisify(execFile)('git', args, {
    cwd,
    env: { PATH: process.env.PATH, GIT_CONFIG_GLOBAL: '/dev/null', GIT_TERMINAL_PROMPT: '0' },
  });
}
