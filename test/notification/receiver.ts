import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Posted = { path: string; headers: IncomingHttpHeaders; body: string };

/** The reaction to a post: a response, a broken connection, no response, or a head with an endless body. */
export type Reply = { status: number; headers?: Record<string, string>; body?: string } | 'cut' | 'hang' | 'endless';

/** A server on 127.0.0.1 that receives posts. It responds 200 by default. */
export async function openReceiver() {
  const posts: Posted[] = [];
  let script: Reply[] = [];
  let usual: Reply = { status: 200, body: 'ok' };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    posts.push({ path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString('utf8') });
    reply(response, script.shift() ?? usual);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    posts,
    /** The reactions to the next posts; later ones get the default. */
    next: (...replies: Reply[]) => {
      script = replies;
    },
    always: (answer: Reply) => {
      usual = answer;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

export type Receiver = Awaited<ReturnType<typeof openReceiver>>;

function reply(response: ServerResponse, answer: Reply): void {
  if (answer === 'hang') return;
  if (answer === 'cut') response.destroy();
  else if (answer === 'endless') response.writeHead(200).write('beginning');
  else response.writeHead(answer.status, answer.headers).end(answer.body);
}
