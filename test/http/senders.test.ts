import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createHttpServer, listen } from '../../src/http/listen.ts';
import { createLog } from '../../src/log.ts';
import { signatureOf } from '../support/actors.ts';
import { SIGNING_TOKEN } from '../support/hooks.ts';
import { ADMIN_TOKEN, eventually, openService, type TestService } from '../support/service.ts';

let service: TestService;
let device: Record<string, string>;
let hookPath: string;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
  const { apiKey } = (await service.api('POST', '/devices', { id: 'till' })).body;
  device = { 'x-device-id': 'till', 'x-api-key': apiKey };
  const source = (await service.api('POST', '/sources', { name: 's', url: 'https://example.com/a.git', layout: 'repo' })).body;
  hookPath = `/hooks/${source.id}`;
});
afterAll(() => service.close());

const bearer = { authorization: `Bearer ${ADMIN_TOKEN}` };
const json = { 'content-type': 'application/json' };
const WEBHOOK = { provider: 'generic', secret: SIGNING_TOKEN };

type Answer = { status: number; headers: IncomingHttpHeaders; code: string };

/** Sends a whole body of `bytes` zeros, with its length or in chunks, regardless of the answer. */
function post(path: string, headers: Record<string, string>, bytes: number, chunked: boolean): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(bytes) };
    const request = httpRequest(service.url + path, { method: 'POST', headers: { ...headers, ...length } });
    request.once('error', reject);
    request.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.once('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, code: JSON.parse(text).code }));
    });
    const piece = Buffer.alloc(64 * 1024, 0x30);
    let left = bytes;
    const write = (): void => {
      while (left > 0) {
        const part = piece.subarray(0, Math.min(left, piece.length));
        left -= part.length;
        if (!request.write(part)) return void request.once('drain', write);
      }
      request.end();
    };
    write();
  });
}

describe('bodies', () => {
  const MIB = 1024 * 1024;
  const bounds: [string, () => string, Record<string, string>, number, string][] = [
    ['the API', () => '/api/v1/devices', { ...bearer, ...json }, MIB, 'too_large'],
    ['the API, without credentials', () => '/api/v1/devices', json, MIB, 'too_large'],
    ['an operation without a body', () => '/api/v1/devices/till/start', bearer, MIB, 'too_large'],
    ['the older dashboards', () => '/api/devices/till/start', bearer, MIB, 'too_large'],
    ['an import', () => '/api/v1/devices:import', { ...bearer, 'content-type': 'text/csv' }, 10 * MIB, 'too_large'],
    ['a webhook', () => hookPath, json, 25 * MIB, 'hook_too_large'],
    ['an enrolment', () => '/agent/v1/enroll', json, MIB, 'too_large'],
    ['reports', () => '/agent/v1/reports', { ...json }, 4 * MIB, 'too_large'],
    ['older metrics', () => '/api/v1/analytics/device-metrics', { ...json }, MIB, 'too_large'],
  ];

  test.each(bounds)('%s: a body of one byte too many gets 413, with a length or in chunks', async (what, path, headers, most, code) => {
    const key = what === 'reports' || what === 'older metrics' ? device : {};
    for (const chunked of [false, true]) {
      const answer = await post(path(), { ...headers, ...key }, most + 1, chunked);
      expect([chunked, answer.status, answer.code, answer.headers['content-type']]).toEqual([
        chunked,
        413,
        code,
        'application/problem+json',
      ]);
      expect(answer.headers.connection).toBe('close');
    }
    // A body of the largest size is read, and refused for its content.
    expect((await post(path(), { ...headers, ...key }, most, true)).status).not.toBe(413);
  });

  test.each([
    ['the API', '/api/v1/devices', bearer, 'name'],
    ['the API, repeated', '/api/v1/devices', { ...bearer, 'idempotency-key': 'deep' }, 'name'],
    ['an enrolment, without credentials', '/agent/v1/enroll', {}, 'name'],
    ['reports', '/agent/v1/reports', {}, 'reports'],
    ['older metrics', '/api/v1/analytics/device-metrics', {}, 'length'],
    ['a command', '/api/v1/devices/till/commands', bearer, 'payload'],
  ])('%s: JSON that is nested too deeply is refused before it is parsed', async (_what, path, headers, field) => {
    for (const inner of [`${'['.repeat(200_000)}${']'.repeat(200_000)}`, `${'{"length":'.repeat(65)}1${'}'.repeat(65)}`]) {
      const body = `{"type":"run_command","${field}":{"length":${inner}}}`;
      const response = await fetch(service.url + path, { method: 'POST', headers: { ...json, ...device, ...headers }, body });
      expect([response.status, (await response.json()) as object]).toMatchObject([400, { code: 'too_deep' }]);
    }
  });

  test('an import refuses only the row that is nested too deeply', async () => {
    const deep = `{"id":{"length":${'['.repeat(200_000)}${']'.repeat(200_000)}}}`;
    const headers = { ...bearer, 'content-type': 'application/x-ndjson' };
    const response = await fetch(`${service.url}/api/v1/devices:import`, { method: 'POST', headers, body: `${deep}\n{"id":"sound"}` });
    expect(await response.json()).toMatchObject({ registered: 1, devices: [{ row: 2, id: 'sound' }], refused: [{ row: 1 }] });
  });

  test('a webhook that is nested too deeply is malformed', async () => {
    const source = (
      await service.api('POST', '/sources', { name: 'deep', url: 'https://example.com/b.git', layout: 'repo', webhook: WEBHOOK })
    ).body;
    const body = Buffer.from(`{"ref":{"length":${'['.repeat(200_000)}${']'.repeat(200_000)}}}`);
    const response = await fetch(`${service.url}/hooks/${source.id}`, {
      method: 'POST',
      headers: { ...json, ...signatureOf(body) },
      body: new Uint8Array(body),
    });
    expect([response.status, (await response.json()) as object]).toMatchObject([400, { code: 'hook_malformed' }]);
  });

  test('a body with a false length is refused, and a request hidden in it is not run', async () => {
    const hidden = 'GET /api/v1/devices HTTP/1.1\r\nHost: x\r\n\r\n';
    const both = `POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`;
    const twice = `POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n${hidden}`;
    for (const text of [both, twice]) {
      const answers = (await exchange(service.url, text)).match(/HTTP\/1\.1 \d+/g);
      expect(answers).toEqual(['HTTP/1.1 400']);
    }
  });
});

/** Returns all bytes that arrive until the other side closes. */
function exchange(url: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    let answer = '';
    const socket = connect({ host: hostname, port: Number(port) }, () => socket.write(text));
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.once('close', () => resolve(answer));
    socket.once('error', reject);
  });
}

function problemIn(answer: string): [number, string] {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  expect(head.toLowerCase()).toContain('content-type: application/problem+json');
  expect(head.toLowerCase()).toContain('x-content-type-options: nosniff');
  const { status, code } = JSON.parse(body);
  expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  return [status, code];
}

describe('malformed requests', () => {
  const cases: [string, string, number, string][] = [
    ['headers of more than 16 KiB', `GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(17_000)}\r\n\r\n`, 431, 'headers_too_large'],
    ['a path of more than 16 KiB', `GET /${'a'.repeat(17_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431, 'headers_too_large'],
    ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 400, 'malformed_request'],
    ['an invalid host', 'GET /health HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n', 400, 'malformed_request'],
    ['a backslash for a path', 'GET /a\\b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 400, 'malformed_request'],
    ['a header without a name', 'GET /health HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n', 400, 'malformed_request'],
    ['a chunk of no size', 'POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', 400, 'malformed_request'],
  ];
  test.each(cases)('%s', async (_what, text, status, code) => {
    const answer = await exchange(service.url, text);
    // The answer may have arrived before a broken body.
    const last = answer.split(/(?=HTTP\/1\.1 )/).at(-1) ?? '';
    expect(problemIn(last)).toEqual([status, code]);
    const [, requestId] = /^x-request-id: (\S+)\r$/im.exec(last) ?? [];
    expect(last).toContain(`"instance":"urn:request:${requestId}"`);
  });

  test('do not end the service', async () => {
    expect((await fetch(`${service.url}/health`)).status).toBe(200);
  });
});

describe('slow senders', () => {
  const slow = { headersTimeout: 100, requestTimeout: 200, connectionsCheckingInterval: 20 };
  const opened = async () => {
    const app = new Hono();
    app.onError((_error, c) => c.text('', 400));
    app.post('/', async (c) => c.text(await c.req.text()));
    app.get('/wait', () => new Promise<Response>(() => {}));
    const server = createHttpServer(app.fetch, '127.0.0.1', createLog('silent'), slow);
    await listen(server, { host: '127.0.0.1', port: 0 });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const close = async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    };
    return { url, [Symbol.asyncDispose]: close };
  };

  test.each([
    ['headers that never end', 'POST / HTTP/1.1\r\nHost: x\r\nX-A: '],
    ['a body that never ends', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc'],
    ['chunks that never end', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
  ])('%s get 408, and the connection ends', async (_what, text) => {
    await using server = await opened();
    expect(problemIn(await exchange(server.url, text))).toEqual([408, 'request_timeout']);
  });

  test('a connection that sends nothing is closed', async () => {
    await using server = await opened();
    expect(await exchange(server.url, '')).toMatch(/^$|408/);
  });

  test('the limits apply to the request, and an answer may take longer', async () => {
    await using server = await opened();
    const { hostname, port } = new URL(server.url);
    const waiting = connect({ host: hostname, port: Number(port) }, () => waiting.write('GET /wait HTTP/1.1\r\nHost: x\r\n\r\n'));
    let closed = false;
    waiting.once('close', () => {
      closed = true;
    });
    // The checks that end these later requests leave the waiting one open.
    for (let n = 0; n < 3; n += 1) expect(await exchange(server.url, 'POST / HTTP/1.1\r\n')).toContain('408');
    expect(closed).toBe(false);
    waiting.destroy();
  });
});

test('an interrupted request does not count as an internal error', async () => {
  const { hostname, port } = new URL(service.url);
  const counted = async (status: string) => {
    const lines = (await (await fetch(`${service.url}/metrics`)).text()).split('\n');
    const counts = lines.filter(
      (line) => line.startsWith('bellwether_http_request_seconds_count{method="POST"') && line.includes(`status="${status}`),
    );
    return counts.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  };
  const before = { refused: await counted('400'), faults: await counted('5') };
  for (const head of ['Content-Length: 100', 'Transfer-Encoding: chunked'])
    for (const key of ['', 'Idempotency-Key: broken\r\n'])
      await new Promise<void>((resolve) => {
        const socket = connect({ host: hostname, port: Number(port) });
        const text = `POST /api/v1/devices HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_TOKEN}\r\nContent-Type: application/json\r\n${key}${head}\r\n\r\n`;
        socket.once('connect', () => socket.write(`${text}${head.startsWith('T') ? '5\r\n' : ''}{"id"`, () => socket.destroy()));
        socket.once('close', () => resolve());
      });
  await eventually('all four are counted', async () => (await counted('400')) === before.refused + 4);
  expect(await counted('5')).toBe(before.faults);
});
