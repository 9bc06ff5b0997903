import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { eventually } from '../support/service.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

test('demo --exit shows a good commit on ten devices, a refused one and a rollback, says so in one line of JSON, and leaves nothing behind', async () => {
  await using demo = await startDemo(['--exit']);
  await demo.says('All 10 devices run');
  // The service, its PostgreSQL and ten agents: the same search finds none of them at the end.
  expect((await demo.processes()).length).toBeGreaterThanOrEqual(12);
  expect(await demo.ended).toEqual({ code: 0, signal: null });
  const result = JSON.parse(demo.output().trimEnd().split('\n').at(-1) ?? '');
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
}, 150_000);

test('demo stays up: a push by a person, as it suggests, reaches the device, and Ctrl-C ends everything', async () => {
  await using demo = await startDemo(['--devices', '2']);
  await demo.says('Ctrl-C ends everything');
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
}, 150_000);

test('demo --exit whose agent dies says what went wrong, ends with 1 and "ok":false, and leaves nothing behind', async () => {
  await using demo = await startDemo(['--exit', '--devices', '2']);
  await demo.says('All 7 devices run');
  const agent = (await demo.processes()).find(({ command }) => command.includes('--device-id router-lyon'));
  process.kill(agent?.pid ?? Number.NaN, 'SIGKILL');
  expect(await demo.ended).toEqual({ code: 1, signal: null });
  expect(demo.complaints()).toContain('agent of router-lyon ended with SIGKILL');
  expect(JSON.parse(demo.output().trimEnd().split('\n').at(-1) ?? '')).toMatchObject({ devices: 7, ok: false });
  await demo.expectNothingLeft();
}, 150_000);

test('demo --exit that cannot start says why and ends with 1 and "ok":false', async () => {
  await using demo = await startDemo(['--exit', '--data', fileURLToPath(new URL('.', import.meta.url))]);
  expect(await demo.ended).toEqual({ code: 1, signal: null });
  expect(demo.complaints()).toMatch(/must be empty/);
  const nothing = { devices: 0, applied: 0, rejectedRevisions: 0, rolledBack: 0, pushToAppliedMs: { p50: null, p99: null }, ok: false };
  expect(JSON.parse(demo.output())).toEqual(nothing);
  await demo.expectNothingLeft();
});

/** A demonstration with a temporary folder of its own, by which whatever it left behind is found. */
async function startDemo(args: string[]) {
  const tmp = await mkdtemp(join(tmpdir(), 'bellwether-demo-test-'));
  // As root, the demonstration's database has an account of its own, which must be able to pass through.
  await chmod(tmp, 0o711);
  const child = spawn(process.execPath, [MAIN, 'demo', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, TMPDIR: tmp },
  });
  const [output, complaints] = [collect(child.stdout), collect(child.stderr)];
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((done) => {
    child.once('close', (code, signal) => done({ code, signal }));
  });
  const processes = () => processesWith(tmp, child);
  return {
    ...{ child, tmp, output, complaints, ended, processes },
    says: (text: string, from = 0) =>
      eventually(
        `"${text}" in the output`,
        async () => {
          if (child.exitCode !== null) throw new Error(`ended before it said "${text}": ${output()}${complaints()}`);
          return output().includes(text, from);
        },
        120_000,
      ),
    async expectNothingLeft() {
      // A killed process stays listed until its parent or init has taken note.
      await eventually('the end of all processes', async () => (await processes()).length === 0).catch(() => {});
      expect(await processes()).toEqual([]);
      expect(await readdir(tmp)).toEqual([]);
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await ended;
      await rm(tmp, { recursive: true, force: true });
    },
  };
}

/** Where it keeps the devices' disks, as it tells. */
function dataFolderOf(output: string): string {
  return /disks: (\S+)/.exec(output)?.[1] ?? '';
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  return () => text;
}

/** Processes that have the folder in their arguments or their environment, other than the demonstration itself. */
async function processesWith(folder: string, itself: ChildProcess): Promise<{ pid: number; command: string }[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', 'eww', '-o', 'pid=,stat=,command='], { maxBuffer: 64 * 1024 * 1024 });
  return stdout.split('\n').flatMap((line) => {
    const [, pid = '', state = '', command = ''] = /^ *(\d+) +(\S+) +(.*)$/.exec(line) ?? [];
    const counts = command.includes(folder) && !state.startsWith('Z') && Number(pid) !== itself.pid;
    return counts ? [{ pid: Number(pid), command }] : [];
  });
}

async function git(cwd: string, args: string[]): Promise<void> {
  await promisify(execFile)('git', args, {
    cwd,
    env: { PATH: process.env.PATH, GIT_CONFIG_GLOBAL: '/dev/null', GIT_TERMINAL_PROMPT: '0' },
  });
}
