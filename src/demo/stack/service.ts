import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { mintToken } from '../../crypto/tokens.ts';
import { Problem } from '../../errors.ts';
import { type Started, startProcess } from './processes.ts';

/** The service in its own process, on an embedded PostgreSQL below `dataDir`. */
export type DemoService = { url: string; token: string; ended: Promise<string>; close(): Promise<void> };

const MAIN = fileURLToPath(new URL('../../main.ts', import.meta.url));
const READY_TIMEOUT_MS = 180_000;
const HEALTH_TIMEOUT_MS = 30_000;

const ReadyLine = z.object({ msg: z.literal('ready'), url: z.url() });

/** @param port 0 = any free one @throws Problem `demo_service` when it does not get ready */
export async function startService(dataDir: string, logFile: string, port: number, signal: AbortSignal): Promise<DemoService> {
  // Open to walk through: as root, the database runs under an account of its own.
  await mkdir(dataDir, { mode: 0o711 });
  const token = mintToken('token');
  const env = {
    HOST: '127.0.0.1',
    PORT: String(port),
    DATA_DIR: dataDir,
    BELLWETHER_ADMIN_TOKEN: token,
    ALLOW_PRIVATE_GIT_HOSTS: 'true',
    ALLOW_PRIVATE_INTEGRATION_HOSTS: 'true',
    LOG_LEVEL: 'info',
  };
  const started = await startProcess({ name: 'service', args: [MAIN, 'serve'], env, logFile, keepOutput: true });
  const close = async (): Promise<void> => {
    await started.close();
    await endDatabase(dataDir);
  };
  try {
    const url = await untilReady(started, logFile, AbortSignal.any([signal, AbortSignal.timeout(READY_TIMEOUT_MS)]));
    return { url, token, ended: started.ended, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Its address, from the line that says so; from then on its output only goes to the log file. */
async function untilReady({ stdout, ended }: Started, logFile: string, signal: AbortSignal): Promise<string> {
  if (stdout === null) throw new Problem('demo_service', 'Cannot start the service: it has no output');
  stdout.pipe(createWriteStream(logFile, { flags: 'a', mode: 0o600 }));
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  const died = ended.then((how): never => {
    throw new Problem('demo_service', `Cannot start the service: it ${how}; its last lines are in ${logFile}`);
  });
  const lines = createInterface({ input: stdout });
  const said = new Promise<string>((done) => {
    lines.on('line', (line) => {
      const url = addressIn(line);
      if (url !== undefined) done(url);
    });
  });
  try {
    const url = await Promise.race([said, died, aborted]);
    const health = await fetch(`${url}/health/ready`, { signal: AbortSignal.any([signal, AbortSignal.timeout(HEALTH_TIMEOUT_MS)]) });
    if (!health.ok)
      throw new Problem('demo_service', `Cannot use the service: /health/ready answers ${health.status}: ${await health.text()}`);
    await health.body?.cancel();
    return url;
  } finally {
    died.catch(() => {});
    aborted.catch(() => {});
    lines.removeAllListeners('line');
    lines.close();
    // Closing the interface pauses the stream, and the log file would starve.
    stdout.resume();
  }
}

function addressIn(line: string): string | undefined {
  try {
    return ReadyLine.safeParse(JSON.parse(line)).data?.url;
  } catch {
    return undefined;
  }
}

/** A service that was killed leaves its PostgreSQL running, and the directory of its socket behind. */
async function endDatabase(dataDir: string): Promise<void> {
  const lines = (await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
  const [pid, socketDir] = [Number(lines[0]), lines[4] ?? ''];
  if (!(pid > 0)) return;
  try {
    process.kill(pid, 'SIGQUIT');
  } catch {
    // It has ended meanwhile.
  }
  if (basename(socketDir).startsWith('bellwether-pg-')) await rm(socketDir, { recursive: true, force: true });
}
