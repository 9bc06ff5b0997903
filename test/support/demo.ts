import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { eventually } from './service.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** A demonstration with its own temporary folder, which identifies its leftover processes. */
export async function startDemo(args: string[]) {
  const tmp = await mkdtemp(join(tmpdir(), 'bellwether-demo-test-'));
  // As root the database runs under another account, which must be able to enter the folder.
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
    /** The last line, which is JSON with `--exit`. */
    result: () => JSON.parse(output().trimEnd().split('\n').at(-1) ?? ''),
    says: (text: string, from = 0) =>
      eventually(
        `"${text}" in the output`,
        async () => {
          if (child.exitCode !== null) throw new Error(`ended before it said "${text}": ${output()}${complaints()}`);
          return output().includes(text, from);
        },
        600_000,
      ),
    async expectNothingLeft() {
      // A killed process stays listed until its parent or init collects it.
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
