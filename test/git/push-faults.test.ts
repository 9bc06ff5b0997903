import { once } from 'node:events';
import { createServer, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { closeConnections } from '../../src/git/http/connections.ts';
import type { Fault } from '../support/git-host.ts';
import { openPushScene } from '../support/push-scene.ts';

const { host, repository, ask, push, branches, hook, close } = await openPushScene();
afterAll(close);

const pkt = (text: string) => (Buffer.byteLength(text) + 4).toString(16).padStart(4, '0') + text;
const greeting = (text: string, capabilities: string) =>
  `${pkt('# service=git-receive-pack\n')}0000${pkt(`${text}\0${capabilities}\n`)}0000`;
const NO_REFS = `${'0'.repeat(40)} capabilities^{}`;

describe('hosts that misbehave', () => {
  const faults: [string, Fault, object][] = [
    ['403 to the push alone', { kind: 'status', status: 403, method: 'POST' }, { code: 'git_push_denied' }],
    ['404', { kind: 'status', status: 404 }, { code: 'git_not_found' }],
    ['503', { kind: 'status', status: 503 }, { code: 'git_server_error', retry: 'backoff' }],
    ['a redirect', { kind: 'redirect', location: 'http://127.0.0.1:1/other.git' }, { code: 'git_redirect' }],
    ['a web page', { kind: 'body', body: '<html>' }, { code: 'git_auth' }],
    ['a host without smart HTTP', { kind: 'body', body: pkt('refs are elsewhere') }, { code: 'git_unsupported' }],
    ['no report', { kind: 'body', body: greeting(NO_REFS, 'delete-refs') }, { code: 'git_unsupported' }],
    ['SHA-256', { kind: 'body', body: greeting(NO_REFS, 'report-status object-format=sha256') }, { code: 'git_unsupported' }],
    ['an empty report', { kind: 'empty', method: 'POST' }, { code: 'git_protocol' }],
    ['a report that is cut', { kind: 'cut', body: '0030', method: 'POST' }, { code: 'git_unreachable', retry: 'backoff' }],
    [
      'a report about something else',
      { kind: 'body', body: sideBand(`${pkt('unpack ok\n')}0000`), method: 'POST' },
      { code: 'git_protocol' },
    ],
    ['a fatal error', { kind: 'body', body: `${pkt('\x03fatal: disk full\n')}0000`, method: 'POST' }, { code: 'git_protocol' }],
    ['a report of endless length', { kind: 'body', body: Buffer.alloc(2 * 1024 * 1024, 48), method: 'POST' }, { code: 'git_too_large' }],
    [
      'a report that contradicts itself',
      { kind: 'body', body: sideBand(`${pkt('unpack failed\n')}${pkt('ok refs/heads/bellwether/revert-1\n')}0000`), method: 'POST' },
      { code: 'git_push_refused' },
    ],
    [
      'a pack that it cannot unpack',
      { kind: 'body', body: sideBand(`${pkt('unpack disk is full\n')}${pkt('ng refs/heads/x unpacker error\n')}0000`), method: 'POST' },
      { code: 'git_push_refused', message: expect.stringContaining('disk is full') },
    ],
  ];
  test.each(faults)('%s', async (_case, fault, expected) => {
    const { name, url, revert } = await repository();
    const before = await branches(name);
    host.fault(name, fault);
    await expect(push(url, revert)).rejects.toMatchObject(expected);
    host.clearFault(name);
    expect(await branches(name)).toBe(before);
    expect(await push(url, revert)).toMatchObject({ outcome: 'pushed' });
  });

  test('a host that never answers is git_timeout at the deadline, and the caller may abort earlier', async () => {
    const { name, url, revert } = await repository();
    host.fault(name, { kind: 'hang', method: 'POST' });
    await expect(push(url, revert, { deadlineMs: 500 })).rejects.toMatchObject({ code: 'git_timeout', retry: 'backoff' });
    const reason = new Error('shutting down');
    const controller = new AbortController();
    const pending = push(url, revert, { signal: controller.signal });
    controller.abort(reason);
    await expect(pending).rejects.toBe(reason);
    host.clearFault(name);
  });

  test('a private address is refused before any request', async () => {
    const { url, revert } = await repository();
    const closed = addressGuard({ allowPrivate: false });
    const before = host.requests.length;
    await expect(push(url, revert, { guard: closed })).rejects.toMatchObject({ code: 'address_refused' });
    await closeConnections(closed);
    expect(host.requests.length).toBe(before);
  });

  test('a host without side bands reports the outcome too', async () => {
    const { name, url, revert } = await repository();
    host.fault(name, { kind: 'body', body: greeting(NO_REFS, 'report-status'), count: 1 });
    expect(await push(url, revert)).toMatchObject({ outcome: 'pushed' });
    await hook(name, 'pre-receive', 'exit 1');
    host.fault(name, { kind: 'body', body: greeting(NO_REFS, 'report-status'), count: 1 });
    await expect(push(url, { ...revert, branch: 'x' })).rejects.toMatchObject({
      code: 'git_push_refused',
      message: expect.stringMatching(/refused it: pre-receive hook declined$/),
    });
  });
});

describe('connections that break', () => {
  test('before the push arrives: the host is unchanged, and a retry pushes', async () => {
    const { name, url, revert } = await repository();
    await using proxy = await openBreakingProxy('before');
    const before = await branches(name);
    await expect(push(proxy.through(url), revert)).rejects.toMatchObject({ code: 'git_unreachable', retry: 'backoff' });
    expect(proxy.pushes()).toBe(3);
    expect(await branches(name)).toBe(before);
    expect(await push(url, revert)).toMatchObject({ outcome: 'pushed' });
  });

  test('after the push arrived, during the answer: a retry finds the branch', async () => {
    const { name, url, revert } = await repository();
    await using proxy = await openBreakingProxy('answer');
    await expect(push(proxy.through(url), revert)).rejects.toMatchObject({ code: 'git_unreachable', retry: 'backoff' });
    expect(proxy.pushes()).toBe(1);
    const commit = await ask(name, 'rev-parse', revert.branch);
    expect(await push(url, revert)).toEqual({ outcome: 'exists', commit });
  });

  test('after the push arrived, before the answer: the same call pushes again and finds its branch', async () => {
    const { name, url, revert } = await repository();
    await using proxy = await openBreakingProxy('once');
    const result = await push(proxy.through(url), revert);
    expect(proxy.pushes()).toBe(2);
    expect(result).toEqual({ outcome: 'exists', commit: await ask(name, 'rev-parse', revert.branch) });
  });
});

function sideBand(report: string): string {
  return `${pkt(`\x01${report}`)}0000`;
}

/**
 * Opens a proxy to the host that breaks the connection of a push: `before` the push reaches the host, after the first bytes of the `answer`, or `once`
 * in place of the first answer.
 */
async function openBreakingProxy(cut: 'before' | 'answer' | 'once') {
  let pushes = 0;
  const answerWith = (response: ServerResponse, status: number, body: Buffer): void => {
    const first = pushes === 1;
    if (cut === 'once' && first) return void response.destroy();
    if (cut !== 'answer') return void response.writeHead(status).end(body);
    response.writeHead(status, { 'content-length': String(body.length) });
    response.write(body.subarray(0, 5), () => response.destroy());
  };
  const server = createServer((incoming, response) => {
    const isPush = incoming.method === 'POST' && incoming.url?.endsWith('/git-receive-pack') === true;
    if (isPush) pushes++;
    if (isPush && cut === 'before') return void incoming.socket.destroy();
    const forwarded = request(new URL(incoming.url ?? '/', host.url), { method: incoming.method, headers: incoming.headers }, (answer) => {
      if (!isPush) return void answer.pipe(response.writeHead(answer.statusCode ?? 502, answer.headers));
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => answerWith(response, answer.statusCode ?? 502, Buffer.concat(chunks)));
    });
    incoming.pipe(forwarded);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    through: (url: string): string => url.replace(host.url, `http://127.0.0.1:${port}`),
    pushes: (): number => pushes,
    [Symbol.asyncDispose]: async (): Promise<void> => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
