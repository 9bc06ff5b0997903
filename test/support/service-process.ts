import { lineOf, startProgram } from '../../bench/support/processes.ts';

const CHECK_EVENTS = `--import=${new URL('check-events.ts', import.meta.url)}`;
const READY_TIMEOUT_MS = 180_000;

/** The service in a separate process, on any free port. `ended` resolves with its exit code; null: a signal ended it. */
export type ServiceProcess = { url: string; pid: number; hasEnded(): boolean; ended: Promise<number | null>; close(): Promise<void> };

/** @param onLine receives each line of its output */
export async function startServiceProcess(
  env: Record<string, string> & { DATA_DIR: string },
  onLine: (line: string) => void,
): Promise<ServiceProcess> {
  const settings = { PORT: '0', ALLOW_PRIVATE_GIT_HOSTS: 'true', GIT_WORKERS: '1', GIT_TIMEOUT_SECONDS: '5', ...env };
  const service = startProgram('src/main.ts', { args: ['serve'], env: settings, nodeArgs: [CHECK_EVENTS] });
  const { child } = service;
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  for (const stream of [child.stdout, child.stderr]) if (stream) eachLine(stream, onLine);
  try {
    const url = await lineOf(service, addressIn, READY_TIMEOUT_MS);
    const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
    return { url, pid: service.pid, hasEnded, ended, close: service.end };
  } catch (error) {
    await service.end();
    throw error;
  }
}

/** A line of the log; empty for a line that no logger wrote. */
export function logLine(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function eachLine(stream: NodeJS.ReadableStream, take: (line: string) => void): void {
  let rest = '';
  stream.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(line);
  });
}

function addressIn(line: string): string | undefined {
  const { msg, url } = logLine(line);
  return msg === 'ready' && typeof url === 'string' ? url : undefined;
}
