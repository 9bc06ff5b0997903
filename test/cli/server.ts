import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Command } from 'commander';
import { Server as LiveServer } from 'socket.io';
import type { Terminal } from '../../src/cli/call.ts';
import { registerClientCommands } from '../../src/cli/commands/register.ts';

export type Seen = { method: string; path: string; query: Record<string, string>; headers: IncomingMessage['headers']; body: unknown };
export type Answer = { status?: number; body?: unknown; headers?: Record<string, string> };

export const TOKEN = 'bwt_test';
const NOW = new Date('2026-03-01T12:00:00Z');

/** A server on 127.0.0.1 that answers below `/api/v1` as `handle` says, with `/live` beside it where wanted. */
export async function openServer(handle: (seen: Seen) => Answer, options: { live?: boolean; port?: number } = {}) {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '', 'http://localhost');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString('utf8');
    const call: Seen = {
      method: request.method ?? '',
      path: url.pathname.replace(/^\/api\/v1/, ''),
      query: Object.fromEntries(url.searchParams),
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
    seen.push(call);
    const { status = 200, body, headers = {} } = handle(call);
    const type = status >= 400 ? 'application/problem+json' : 'application/json';
    response.writeHead(status, { 'content-type': type, ...headers }).end(body === undefined ? undefined : JSON.stringify(body));
  });
  const io = options.live === true ? new LiveServer(server) : undefined;
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    seen,
    port,
    url: `http://127.0.0.1:${port}`,
    live: io?.of('/live'),
    close: async () => {
      io?.engine.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

class Exit extends Error {
  readonly exitCode: number;
  constructor(exitCode: number) {
    super(`exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}

export type Ran = { code: number; out: string; err: string };

/** Runs a command line as the program would, without a process of its own. */
export async function run(args: string[], env: Record<string, string | undefined>, terminal: Partial<Terminal> = {}): Promise<Ran> {
  const ran: Ran = { code: 0, out: '', err: '' };
  const program = new Command('bellwether');
  const exit = (code: number): never => {
    throw new Exit(code);
  };
  const out = (text: string): void => {
    ran.out += text;
    terminal.out?.(text);
  };
  const err = (text: string): void => {
    ran.err += text;
  };
  registerClientCommands(program, { now: () => NOW, ...terminal, env, exit, out, err });
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof Exit)) throw error;
    ran.code = error.exitCode;
  }
  return ran;
}
