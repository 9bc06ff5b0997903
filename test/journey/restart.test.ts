import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { io } from 'socket.io-client';
import { expect, test } from 'vitest';
import { createDevice } from '../agent/device.ts';
import { openGitHost } from '../support/git-host.ts';
import { postGitLabPush, SIGNING_TOKEN } from '../support/hooks.ts';
import { folder } from '../support/scene.ts';
import { ADMIN_TOKEN, eventually } from '../support/service.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** The service as a process of its own, on the embedded PostgreSQL in `dataDir`. */
async function startProcess(dataDir: string, port = '0') {
  const env = {
    PATH: process.env.PATH,
    DATA_DIR: dataDir,
    PORT: port,
    BELLWETHER_ADMIN_TOKEN: ADMIN_TOKEN,
    ALLOW_PRIVATE_GIT_HOSTS: '1',
    GIT_WORKERS: '1',
  };
  const child: ChildProcess = spawn(process.execPath, [MAIN, 'serve'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8');
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8');
  });
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const url = await eventually(
    'the service is ready',
    async () => {
      if (child.exitCode !== null) throw new Error(output);
      return /"url":"(http:[^"]+)"/.exec(output)?.[1];
    },
    240_000,
  );
  const api = async (method: string, path: string, body?: unknown) => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' };
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return JSON.parse((await response.text()) || 'null');
  };
  return { child, url, api, ended, output: () => output };
}

test('kill -9 of the service loses no accepted hook: after the restart the device runs the commit; a second service on the directory is refused; SIGTERM ends it clean', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'bellwether-restart-'));
  // As root, the database's account must be able to pass through.
  await chmod(dataDir, 0o711);
  await using host = await openGitHost();
  const gitUrl = await host.createRepository('terminal');
  const first = await startProcess(dataDir);
  const { port } = new URL(first.url);
  const source = await first.api('POST', '/sources', {
    name: 'terminal',
    url: gitUrl,
    layout: 'repo',
    pollIntervalSeconds: 3600,
    webhook: { provider: 'gitlab', secret: SIGNING_TOKEN },
  });
  const { apiKey } = await first.api('POST', '/devices', { id: 'terminal-1', sourceId: source.id });
  await using device = await createDevice(first.url);
  await device.hook('reload', 'exit 0');
  await device.hook('check-config', 'exit 0');
  device.start({}, ['--device-id', 'terminal-1', '--api-key', apiKey]);

  const second = spawn(process.execPath, [MAIN, 'serve'], {
    env: { PATH: process.env.PATH, DATA_DIR: dataDir, PORT: '0' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const refusal: string[] = [];
  second.stderr.on('data', (chunk: Buffer) => refusal.push(chunk.toString('utf8')));
  expect((await once(second, 'close'))[0]).toBe(1);
  expect(refusal.join('')).toContain('another Bellwether runs on it');

  const after = await host.commit('terminal', folder({ vlan: 42 }));
  const hookUrl = `${first.url}/hooks/${source.id}`;
  expect((await postGitLabPush(hookUrl, { after })).status).toBe(202);
  first.child.kill('SIGKILL');
  await first.ended;

  const restarted = await startProcess(dataDir, port);
  expect(restarted.output()).toContain('took over the PostgreSQL');
  await eventually('the device runs the commit', async () => (await device.current())?.['app.json'] === '644 {"vlan":42}', 240_000);
  await eventually('the service knows it', async () => (await restarted.api('GET', '/devices/terminal-1/status')).converged);

  // The database alone is killed: the service answers 503 or ends, and the next start recovers the directory.
  const postmaster = Number((await readFile(join(dataDir, 'postgres/postmaster.pid'), 'utf8')).split('\n')[0]);
  restarted.child.kill('SIGKILL');
  process.kill(postmaster, 'SIGKILL');
  await restarted.ended;
  const third = await startProcess(dataDir, port);
  expect((await third.api('GET', '/devices/terminal-1')).lastGood.bundle).toMatch(/^[0-9a-f]{64}$/);

  const socket = io(`${third.url}/live`, { auth: { token: ADMIN_TOKEN }, transports: ['websocket'] });
  const updates: { device_id: string; status: string }[] = [];
  socket.on('device_update', (update) => updates.push(update));
  await new Promise((resolve) => socket.emit('subscribe', { topics: ['devices'] }, resolve));
  third.child.kill('SIGTERM');
  expect(await third.ended).toEqual([0, null]);
  expect(updates.at(-1)).toMatchObject({ device_id: 'terminal-1', status: 'OFFLINE' });
  socket.close();
  await expect(readFile(join(dataDir, 'postgres/postmaster.pid'), 'utf8')).rejects.toThrow();
  await rm(dataDir, { recursive: true, force: true });
});
