import { IncomingMessage } from 'node:http';
import { connect, Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createForwardedNotice } from '../../src/http/forwarded.ts';
import { createLog } from '../../src/log.ts';
import { SIGNING_TOKEN } from '../support/hooks.ts';
import { ADMIN_TOKEN, openService, type TestService } from '../support/service.ts';

let service: TestService;
let hookPath: string;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
  const webhook = { provider: 'generic', secret: SIGNING_TOKEN };
  const source = { name: 's', url: 'https://example.com/a.git', layout: 'repo', webhook };
  hookPath = `/hooks/${(await service.api('POST', '/sources', source)).body.id}`;
});
afterAll(() => service.close());

const ANSWER_MS = 20_000;

/** What comes back until there is a whole answer; '' when the other side closes without one or is silent for too long. */
function answerTo(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(service.url);
    let answer = '';
    const socket = connect({ host: hostname, port: Number(port) }, () => socket.write(text));
    const timer = setTimeout(() => socket.destroy(), ANSWER_MS);
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      answer += chunk;
      if (answer.includes('\r\n\r\n') && /}$/.test(answer)) socket.destroy();
    });
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(answer);
    });
    socket.once('error', reject);
  });
}

const bearer = `Authorization: Bearer ${ADMIN_TOKEN}\r\n`;

describe('a body that is announced too large is answered 413 before its first byte, and the connection ends', () => {
  test.each([
    ['the API', () => '/api/v1/devices', bearer],
    ['the API, from a stranger', () => '/api/v1/devices', ''],
    ['a webhook', () => hookPath, ''],
    ['an enrolment', () => '/agent/v1/enroll', ''],
  ])('%s', async (_what, path, headers) => {
    const head = `POST ${path()} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${headers}`;
    const answer = await answerTo(`${head}Content-Length: 99999999999\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer.toLowerCase()).toContain('connection: close');
  });
});

describe('a request that offers another protocol is answered as HTTP/1.1', () => {
  const h2c = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n';
  const webSocket =
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n';
  test.each([
    ['h2c', 'GET /health', h2c, 200],
    ['h2c with a token', 'GET /api/v1/devices', h2c + bearer, 200],
    ['h2c where nothing is', 'GET /nowhere', h2c, 404],
    ['a WebSocket where none is', 'GET /health', webSocket, 200],
    ['TLS', 'GET /health', 'Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n', 200],
  ])('%s', async (_what, line, headers, status) => {
    expect(await answerTo(`${line} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });
});

test('a proxy that is not trusted is reported in the health answer and the metrics, and the log has it once', async () => {
  const health = async () => (await (await fetch(`${service.url}/health`)).json()) as { warnings: string[] };
  const counted = async () =>
    /^bellwether_untrusted_forwarded_total (\d+)$/m.exec(await (await fetch(`${service.url}/metrics`)).text())?.[1];
  expect([(await health()).warnings, await counted()]).toEqual([[], '0']);
  for (let n = 0; n < 3; n += 1) await fetch(`${service.url}/nowhere`, { headers: { 'x-forwarded-for': '203.0.113.7' } });
  expect((await health()).warnings).toEqual([expect.stringContaining('TRUST_PROXY')]);
  expect(await counted()).toBe('3');
  const lines: unknown[] = [];
  const log = createLog('silent');
  log.warn = (...line: unknown[]) => void lines.push(line);
  const socket = new Socket();
  const request = new IncomingMessage(socket);
  request.headers['x-forwarded-for'] = '203.0.113.7';
  for (const trustProxy of [false, true]) {
    const notice = createForwardedNotice(trustProxy, log, () => undefined);
    for (let n = 0; n < 3; n += 1) notice.observe(request);
  }
  expect(lines).toHaveLength(1);
});
