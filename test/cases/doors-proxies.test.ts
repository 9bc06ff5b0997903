import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { watchLive } from '../../src/cli/watch.ts';
import { runSimulation } from '../../src/simulate/run.ts';
import { readProxies } from '../../src/wire/proxies.ts';
import { createDevice } from '../agent/device.ts';
import { run } from '../cli/server.ts';
import { openForwardProxy } from '../support/forward-proxy.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { ADMIN_TOKEN, eventually, openService, type TestService } from '../support/service.ts';

/** Nothing here can be resolved or reached but through the proxy. */
const GIT = 'http://git.example.test';
const FLEET = 'fleet.example.test';
const LARGE = 'x'.repeat(40 * 1024);
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const CA = file('tls/ca.pem');

let host: TestGitHost;
let service: TestService;
let proxy: Awaited<ReturnType<typeof openForwardProxy>>;
let front: TlsServer;
let sourceId: string;
let fleetUrl: string;
const closers: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  host = await openGitHost();
  closers.push(() => host.close());
  await host.createRepository('tills');
  await host.commit('tills', { 'large.txt': LARGE });
  const hosts: Record<string, number> = { 'git.example.test': Number(new URL(host.url).port) };
  proxy = await openForwardProxy({ hosts, login: 'robot:s@cret' });
  closers.push(() => proxy[Symbol.asyncDispose]());
  service = await openService({ HTTP_PROXY: proxy.url, NO_PROXY: 'direct.example.test, 10.0.0.0/8' });
  closers.push(() => service.close());
  const { port } = new URL(service.url);
  front = await openTlsFront(service.url);
  closers.push(async () => front.closeAllConnections());
  Object.assign(hosts, {
    'plain.example.test': Number(port),
    [FLEET]: (front.address() as AddressInfo).port,
    'git-tls.example.test': ((await openTlsFront(host.url, closers)).address() as AddressInfo).port,
  });
  fleetUrl = `http://plain.example.test`;
  sourceId = (await service.api('POST', '/sources', { name: 'tills', url: `${GIT}/tills.git`, layout: 'repo' })).body.id;
});
afterAll(async () => {
  for (const close of closers.reverse()) await close();
});

/** TLS for `*.example.test` ends here, for requests and upgrades. */
async function openTlsFront(target: string, closing?: (() => Promise<unknown>)[]): Promise<TlsServer> {
  const { hostname, port } = new URL(target);
  const tls = { cert: await readFile(file('tls/cert.pem')), key: await readFile(file('tls/key.pem')) };
  const server = createTlsServer(tls, (incoming, answer) => {
    const onward = request({ hostname, port, path: incoming.url, method: incoming.method, headers: incoming.headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    answer.on('close', () => onward.destroy());
    incoming.pipe(onward);
  });
  server.on('upgrade', (incoming, client, head) => {
    const onward = request({ hostname, port, path: incoming.url, headers: incoming.headers });
    onward.on('upgrade', (response, backend, rest) => {
      const lines = Object.entries(response.headers).map(([name, value]) => `${name}: ${String(value)}`);
      client.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`);
      client.write(rest);
      backend.write(head);
      backend.on('error', () => client.destroy());
      client.on('error', () => backend.destroy());
      backend.pipe(client).pipe(backend);
    });
    onward.on('error', () => client.destroy());
    onward.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing?.push(async () => server.closeAllConnections());
  return server;
}

const env = () => ({ HTTP_PROXY: proxy.url, https_proxy: proxy.url });
const sawSince = (from: number) => proxy.log.slice(from);

test('the service reads Git through the proxy, asks for plain HTTP by whole URLs, and goes straight to what NO_PROXY names', async () => {
  const from = proxy.log.length;
  expect((await service.api('POST', `/sources/${sourceId}/test`)).body).toMatchObject({ ok: true });
  expect(sawSince(from).join('\n')).toContain(`POST ${GIT}/tills.git/git-upload-pack`);
  const direct = (await service.api('POST', '/sources', { name: 'direct', url: 'http://direct.example.test/a.git', layout: 'repo' })).body;
  const tried = (await service.api('POST', `/sources/${direct.id}/test`)).body;
  expect(JSON.stringify(tried)).not.toContain('through the proxy');
  expect(proxy.log.join('\n')).not.toContain('direct.example.test');
  await service.api('DELETE', `/sources/${direct.id}`);
});

test("the forge's API and notifications go through it", async () => {
  const from = proxy.log.length;
  const settings = { apiToken: 'glpat-01234567', forge: { kind: 'gitlab' }, webhook: { provider: 'gitlab', secret: 'hook-secret-1' } };
  const source = (await service.api('POST', '/sources', { name: 'forge', url: `${GIT}/fleet/tills.git`, layout: 'repo', ...settings }))
    .body;
  await service.api('POST', `/sources/${source.id}/webhook`);
  await service.api('POST', `/sources/${source.id}/sync`);
  const notification = { name: 'n', url: `${GIT}/notify`, events: ['*'] };
  const { id } = (await service.api('POST', '/notifications', notification)).body;
  await service.api('POST', `/notifications/${id}/test`);
  expect(sawSince(from)).toContain(`POST ${GIT}/notify`);
  await service.api('DELETE', `/notifications/${id}`);
  await service.api('DELETE', `/sources/${source.id}`);
});

test('Git over TLS goes through CONNECT', async () => {
  const from = proxy.log.length;
  const read = async (more: Record<string, string>) => {
    const args = [file('../git/https-client.ts'), 'https://git-tls.example.test/tills.git'];
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      env: { PATH: process.env.PATH, NODE_EXTRA_CA_CERTS: CA, ...more },
    });
    return JSON.parse(stdout) as { code?: string; detail?: string };
  };
  expect(await read({ HTTPS_PROXY: proxy.url })).not.toHaveProperty('code');
  expect(sawSince(from)).toContain('CONNECT git-tls.example.test:443');
  expect(await read({ HTTPS_PROXY: proxy.origin })).toMatchObject({
    code: 'git_unreachable',
    detail: expect.stringContaining(`the proxy "${proxy.origin}" answered 407: it requires a user and a password`),
  });
});

test.each([
  ['plain HTTP', () => fleetUrl, () => `GET ${fleetUrl}/agent/v1/bundles/`],
  ['TLS, by CONNECT', () => `https://${FLEET}`, () => `CONNECT ${FLEET}:443`],
])('an agent works over %s', async (name, server, seen) => {
  const from = proxy.log.length;
  const { token } = (await service.api('POST', '/enrolment-tokens', { uses: 1, sourceId })).body;
  await using device = await createDevice(server());
  const id = name.startsWith('TLS') ? 'tls' : 'plain';
  const agent = device.start({ ...env(), NODE_EXTRA_CA_CERTS: CA }, ['--enroll', token, '--device-id', `proxied-${id}`]);
  await eventually('the file is there', async () => (await device.current())?.['large.txt'] === `644 ${LARGE}`);
  expect(sawSince(from).some((line) => line.startsWith(seen()))).toBe(true);
  expect(agent.log()).not.toContain('cret');
});

test('an agent says what its proxy answered, and without its password', async () => {
  await using device = await createDevice(`https://${FLEET}`);
  const wrong = proxy.origin.replace('//', '//robot:secret@');
  const agent = device.start({ HTTPS_PROXY: wrong, NODE_EXTRA_CA_CERTS: CA }, ['--enroll', 'bwe_x', '--device-id', 'wrong']);
  await expect.poll(() => agent.log(), { timeout: 60_000 }).toContain(`the proxy \\"${proxy.origin}\\" answered 407`);
  expect(agent.log()).not.toContain('robot:secret');
});

test('a simulated device works', async () => {
  const { apiKey } = (await service.api('POST', '/devices', { id: 'simulated', type: 'till', sourceId })).body;
  const ending = new AbortController();
  const done = runSimulation({
    server: fleetUrl,
    proxies: readProxies(env()),
    devices: [{ id: 'simulated', apiKey }],
    signal: ending.signal,
  });
  await eventually('converged', async () => (await service.api('GET', '/devices/simulated/status')).body.converged);
  ending.abort();
  await done;
});

test('the command line asks and follows over plain HTTP, where the proxy passes no upgrade on', async () => {
  const settings = { ...env(), BELLWETHER_SERVER: fleetUrl, BELLWETHER_TOKEN: ADMIN_TOKEN };
  const listed = await run(['sources', 'list'], settings);
  expect(listed).toMatchObject({ code: 0, err: '' });
  expect(listed.out).toContain('tills');
  const stop = new AbortController();
  const live = { server: fleetUrl, proxies: readProxies(env()), token: ADMIN_TOKEN, topics: ['events' as const], signal: stop.signal };
  for await (const message of watchLive(live)) if (message.kind === 'reload' && message.cursor !== undefined) stop.abort();
  const away = await run(['sources', 'list'], { ...settings, HTTP_PROXY: 'http://127.0.0.1:9' });
  expect(away).toMatchObject({ code: 1, err: expect.stringContaining('(through the proxy "http://127.0.0.1:9")') });
  const wrong = await run(['sources', 'list'], { ...settings, HTTP_PROXY: 'socks5://robot:s@127.0.0.1:9' });
  expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('HTTP_PROXY has the scheme "socks5"') });
  expect(wrong.err).not.toContain('robot');
});

test('the command line follows over TLS through CONNECT, by WebSocket', async () => {
  const from = proxy.log.length;
  const settings = { PATH: process.env.PATH, ...env(), NODE_EXTRA_CA_CERTS: CA };
  const args = [file('../../src/main.ts'), 'events', '--follow', '--json', '--server', `https://${FLEET}`, '--token', ADMIN_TOKEN];
  const child = spawn(process.execPath, args, { env: settings, stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = lines.next();
  await eventually('it listens', async () => service.app.services.metrics !== undefined && sawSince(from).length > 0);
  let made = 0;
  const seen = await eventually('an event', async () => {
    await service.api('POST', '/devices', { id: `made-${made++}`, type: 'till' });
    return Promise.race([first, new Promise<undefined>((resolve) => setImmediate(resolve, undefined))]);
  });
  expect(JSON.parse(seen.value ?? '')).toHaveProperty('cursor');
  child.kill('SIGINT');
  await once(child, 'close');
  expect(sawSince(from)).toContain(`CONNECT ${FLEET}:443`);
});

test('what is given by ALL_PROXY or without a scheme is used; this machine is never asked for through a proxy', async () => {
  const target = createServer((_request, answer) => answer.writeHead(404).end()).listen(0, '127.0.0.1');
  await once(target, 'listening');
  const from = proxy.log.length;
  const local = `http://127.0.0.1:${(target.address() as AddressInfo).port}`;
  await run(['sources', 'list'], { ALL_PROXY: proxy.url, BELLWETHER_SERVER: local, BELLWETHER_TOKEN: ADMIN_TOKEN });
  expect(sawSince(from)).toEqual([]);
  const withoutScheme = proxy.url.replace('http://', '');
  const ran = await run(['sources', 'list'], { ALL_PROXY: withoutScheme, BELLWETHER_SERVER: fleetUrl, BELLWETHER_TOKEN: ADMIN_TOKEN });
  expect(ran.code).toBe(0);
  target.close();
});
