import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { splitDesired, withArchive } from '../../src/wire/agent.ts';

export type Answer = { status: number; headers: Record<string, string>; body: Buffer };

/** A man in the middle at the address that an agent uses. It passes the real service's answers on, and forges those that a test selects. */
export type AgentProxy = AsyncDisposable & {
  url: string;
  /** Signed desired states from the service, oldest first. */
  genuine: string[];
  /** Answers later and waiting polls at once with the result of this function; null: the service answers again. */
  forge(next: (() => string | Promise<string>) | null): void;
  /** Receives each bundle, downloaded or inline, and may replace it. */
  swapBundles(next: ((answer: Answer) => Answer | Promise<Answer>) | null): void;
  /** Number of polls with a forged answer. */
  forged(): number;
};

export async function openAgentProxy(serviceUrl: string): Promise<AgentProxy> {
  const genuine: string[] = [];
  let forgery: (() => string | Promise<string>) | null = null;
  let swap: ((answer: Answer) => Answer | Promise<Answer>) | null = null;
  let forged = 0;
  let changed = new AbortController();

  const poll = async (request: IncomingMessage, response: ServerResponse) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    while (forgery === null) {
      const interrupted = changed.signal;
      const answer = await forward(serviceUrl, request, AbortSignal.any([gone.signal, interrupted])).catch((error: unknown) => {
        if (interrupted.aborted && !gone.signal.aborted) return null;
        throw error;
      });
      if (answer === null) continue;
      const { jws, archive } = splitDesired(answer.body);
      if (answer.status === 200 && genuine.at(-1) !== jws) genuine.push(jws);
      const swapped = swap !== null && archive !== null ? (await swap({ ...answer, body: archive })).body : archive;
      return reply(response, swapped === null ? answer : { ...answer, body: withArchive(jws, swapped) });
    }
    forged += 1;
    // An ETag that the agent does not know, so that it reads the state.
    const headers = { 'content-type': 'application/jose', etag: `"forged-${forged}"` };
    reply(response, { status: 200, headers, body: Buffer.from(await forgery()) });
  };
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const { pathname } = new URL(request.url ?? '/', serviceUrl);
    if (pathname.endsWith('/desired')) return poll(request, response);
    const answer = await forward(serviceUrl, request, AbortSignal.timeout(120_000));
    reply(response, swap !== null && pathname.includes('/bundles/') ? await swap(answer) : answer);
  };
  const server = createServer((request, response) => void handle(request, response).catch(() => response.destroy()));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  return {
    url: `http://127.0.0.1:${address.port}`,
    genuine,
    forge: (next) => {
      forgery = next;
      changed.abort();
      changed = new AbortController();
    },
    swapBundles: (next) => {
      swap = next;
    },
    forged: () => forged,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function forward(serviceUrl: string, request: IncomingMessage, signal: AbortSignal): Promise<Answer> {
  const headers = Object.entries(request.headers).flatMap(([name, value]): [string, string][] =>
    typeof value === 'string' && !['host', 'connection', 'content-length', 'transfer-encoding'].includes(name) ? [[name, value]] : [],
  );
  const body = request.method === 'POST' ? await buffer(request) : null;
  const answer = await fetch(new URL(request.url ?? '/', serviceUrl), { method: request.method ?? 'GET', headers, body, signal });
  return { status: answer.status, headers: Object.fromEntries(answer.headers), body: Buffer.from(await answer.arrayBuffer()) };
}

function reply(response: ServerResponse, { status, headers, body }: Answer): void {
  const { 'transfer-encoding': _chunked, 'content-length': _length, connection: _connection, ...kept } = headers;
  response
    .writeHead(status, status === 304 ? kept : { ...kept, 'content-length': String(body.length) })
    .end(status === 304 ? undefined : body);
}
