import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type LoadDone, LoadOrder } from './poll-load-messages.ts';

/**
 * A process that only polls. Each connection requests the desired state of its devices one after the other, the next one after an answer, for the
 * time in the order. Plain sockets keep the cost of a request low. The process accepts orders until its channel closes.
 */

process.on('message', (message: unknown) => {
  run(LoadOrder.parse(message)).then(
    (done) => process.send?.(done),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});

async function run({ url, polls, connections, seconds }: LoadOrder): Promise<LoadDone> {
  const { hostname, port, host } = new URL(url);
  const requests = polls.map(({ id, apiKey, etag }) =>
    Buffer.from(
      `GET /agent/v1/desired?wait=0 HTTP/1.1\r\nhost: ${host}\r\nx-device-id: ${id}\r\nx-api-key: ${apiKey}\r\nif-none-match: ${etag}\r\n\r\n`,
    ),
  );
  const shares = Array.from({ length: Math.min(connections, requests.length) }, (_, lane) =>
    requests.filter((_request, index) => index % connections === lane),
  );
  const sockets = shares.map(() => connect(Number(port), hostname).setNoDelay());
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  const started = performance.now();
  const until = started + seconds * 1000;
  const counts = await Promise.all(sockets.map((socket, lane) => poll(socket, shares[lane] ?? [], until)));
  const elapsed = (performance.now() - started) / 1000;
  return {
    seconds: elapsed,
    unchanged: counts.reduce((sum, count) => sum + count.unchanged, 0),
    others: counts.reduce((sum, count) => sum + count.others, 0),
  };
}

/** An answer without a body ends with its head. Any other answer counts as one of `others` and ends the connection. */
function poll(socket: Socket, requests: readonly Buffer[], until: number): Promise<{ unchanged: number; others: number }> {
  return new Promise((resolve, reject) => {
    let unchanged = 0;
    let others = 0;
    let asked = 0;
    let head = '';
    const ask = (): void => {
      if (performance.now() < until && others === 0) socket.write(requests[asked++ % requests.length] ?? '');
      else socket.end();
    };
    socket.on('data', (chunk: Buffer) => {
      head += chunk.toString('latin1');
      if (!head.endsWith('\r\n\r\n')) return;
      if (head.startsWith('HTTP/1.1 304 ')) unchanged += 1;
      else others += 1;
      head = '';
      ask();
    });
    socket.once('error', reject);
    socket.once('close', () => resolve({ unchanged, others: head === '' ? others : others + 1 }));
    ask();
  });
}
