import { io } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { watchLive } from '../../src/cli/watch.ts';
import { forwardedPrefix } from '../../src/http/base-path.ts';
import { runSimulation } from '../../src/simulate/run.ts';
import { createDevice } from '../agent/device.ts';
import { run } from '../cli/server.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { openReverseProxy, type ReverseProxyOptions } from '../support/reverse-proxy.ts';
import { ADMIN_TOKEN, clientOf, eventually, openService, type TestService } from '../support/service.ts';

/** Larger than what comes along with the desired state: it is fetched by its address. */
const LARGE = 'x'.repeat(40 * 1024);
const PUBLIC_URL = 'https://fleet.example.com/bw';

let host: TestGitHost;
let bare: TestService;
let known: TestService;
const sources = new Map<TestService, string>();
beforeAll(async () => {
  host = await openGitHost();
  bare = await openService({ TRUST_PROXY: 'true' });
  known = await openService({ PUBLIC_URL: `${PUBLIC_URL}/` });
  const url = await host.createRepository('tills');
  await host.commit('tills', { 'large.txt': LARGE });
  for (const service of [bare, known])
    sources.set(service, (await service.api('POST', '/sources', { name: 'tills', url, layout: 'repo' })).body.id);
});
afterAll(async () => {
  await bare?.close();
  await known?.close();
  await host?.close();
});

type Setting = { name: string; service: () => TestService; proxy: Omit<ReverseProxyOptions, 'target'>; servers: string };
const settings: Setting[] = [
  { name: 'no-url-strips', service: () => bare, proxy: { prefix: '/bw', strips: true }, servers: '.' },
  {
    name: 'no-url-keeps',
    service: () => bare,
    proxy: { prefix: '/bw', strips: false, headers: { 'X-Forwarded-Prefix': '/bw' } },
    servers: '/bw',
  },
  { name: 'url-strips', service: () => known, proxy: { prefix: '/bw', strips: true }, servers: PUBLIC_URL },
  { name: 'url-keeps', service: () => known, proxy: { prefix: '/bw', strips: false }, servers: PUBLIC_URL },
];

describe.each(settings)('behind a reverse proxy, $name', ({ name, service, proxy: options, servers }) => {
  let proxy: Awaited<ReturnType<typeof openReverseProxy>>;
  beforeAll(async () => {
    proxy = await openReverseProxy({ target: service().url, ...options });
  });
  afterAll(() => proxy?.[Symbol.asyncDispose]());

  test('an agent enrols and fetches a bundle by its address', async () => {
    const api = clientOf(proxy.url, ADMIN_TOKEN);
    const { token } = (await api('POST', '/enrolment-tokens', { uses: 1, sourceId: sources.get(service()) })).body;
    await using device = await createDevice(proxy.url);
    const agent = device.start({}, ['--enroll', token, '--device-id', `agent-${name}`]);
    await eventually('the file is there', async () => (await device.current())?.['large.txt'] === `644 ${LARGE}`);
    expect(proxy.paths.some((path) => /^\/bw\/agent\/v1\/bundles\/[0-9a-f]{64}$/.test(path))).toBe(true);
    expect(agent.log()).not.toContain('the server answered 404');
  });

  test('a simulated device does', async () => {
    const api = clientOf(proxy.url, ADMIN_TOKEN);
    const id = `simulated-${name}`;
    const { apiKey } = (await api('POST', '/devices', { id, type: 'till', sourceId: sources.get(service()) })).body;
    const ending = new AbortController();
    const done = runSimulation({ server: proxy.url, devices: [{ id, apiKey }], signal: ending.signal });
    await eventually('converged', async () => (await api('GET', `/devices/${id}/status`)).body.converged);
    ending.abort();
    await done;
  });

  test('the page at /docs, its parts and the description are found, with and without a slash at the end', async () => {
    for (const at of ['/docs', '/docs/']) {
      const page = await fetch(proxy.url + at);
      expect([page.status, page.url]).toEqual([200, `${proxy.url}/docs`]);
      const parts = [...(await page.text()).matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '');
      expect(parts.length).toBe(3);
      for (const part of parts) expect((await fetch(new URL(part, page.url))).status, part).toBe(200);
    }
    const script = await (await fetch(`${proxy.url}/docs/app.js`)).text();
    expect(script).not.toMatch(/fetch\('\//);
    const description: unknown = await (await fetch(`${proxy.url}/openapi.json`)).json();
    expect(description).toMatchObject({ servers: [{ url: servers }] });
    const server = new URL(servers, `${proxy.url}/openapi.json`);
    expect(server.pathname.replace(/\/$/, '')).toBe('/bw');
  });

  test('Location and Link lead to what they name', async () => {
    const api = clientOf(proxy.url, ADMIN_TOKEN);
    const authorization = `Bearer ${ADMIN_TOKEN}`;
    const made = [
      ['/devices', { id: `made-${name}`, type: 'till' }],
      ['/sources', { name: `made-${name}`, url: `${host.url}/${name}.git`, layout: 'repo' }],
      ['/notifications', { name: `made-${name}`, url: 'http://127.0.0.1:9/hook', events: ['*'] }],
    ] as const;
    for (const [path, body] of made) {
      const answer = await api('POST', path, body);
      expect(answer.status, JSON.stringify(answer.body)).toBe(201);
      const location = new URL(answer.headers.get('location') ?? '', `${proxy.url}/api/v1${path}`);
      expect(location.href).toBe(`${proxy.url}/api/v1${path}/${answer.body.id}`);
      expect((await fetch(location, { headers: { authorization } })).status).toBe(200);
      await api('DELETE', `${path}/${answer.body.id}`);
    }
  });

  test('the command line asks, and follows what happens over WebSocket', async () => {
    const env = { BELLWETHER_SERVER: `${proxy.url}/`, BELLWETHER_TOKEN: ADMIN_TOKEN };
    const listed = await run(['sources', 'list'], env);
    expect(listed).toMatchObject({ code: 0, err: '' });
    expect(listed.out).toContain('tills');
    const stop = new AbortController();
    for await (const message of watchLive({ server: proxy.url, token: ADMIN_TOKEN, topics: ['events'], signal: stop.signal }))
      if (message.kind === 'reload' && message.cursor !== undefined) stop.abort();
    expect(proxy.paths.some((path) => path.startsWith('/bw/socket.io/') && path.includes('transport=websocket'))).toBe(true);
  });

  test.each(['websocket', 'polling'])('a dashboard connects by %s', async (transport) => {
    const socket = io(`${proxy.origin}/live`, {
      path: '/bw/socket.io',
      auth: { token: ADMIN_TOKEN },
      transports: [transport],
      forceNew: true,
    });
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('connect_error', reject));
    socket.disconnect();
  });

  test('webhooks arrive at the address of the source, its path put before ours', async () => {
    const { hookUrl } = (await service().api('GET', `/sources/${sources.get(service())}`)).body;
    expect(hookUrl.startsWith(service() === known ? `${PUBLIC_URL}/hooks/` : `${bare.url}/hooks/`)).toBe(true);
    const path = new URL(hookUrl).pathname.replace(/^\/bw/, '');
    const answer = await fetch(proxy.url + path, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } });
    // The service's own refusal: the source has no webhook.
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect((await answer.json()) as object).not.toMatchObject({ detail: expect.stringContaining('Cannot find POST') });
  });
});

test('a base path that is named like one of our own paths is told apart from them', async () => {
  await using service = await openService({ ROLE: 'api', PUBLIC_URL: 'https://fleet.example.com/api' });
  for (const strips of [true, false]) {
    await using proxy = await openReverseProxy({ target: service.url, prefix: '/api', strips });
    expect((await clientOf(proxy.url, ADMIN_TOKEN)('GET', '/devices')).status).toBe(200);
    expect((await fetch(`${proxy.url}/health`)).status).toBe(200);
  }
});

test('X-Forwarded-Prefix is believed only where the proxy is trusted', async () => {
  const headers = { 'x-forwarded-prefix': '/other' };
  expect((await fetch(`${known.url}/other/health`, { headers })).status).toBe(404);
  expect((await fetch(`${bare.url}/other/health`, { headers })).status).toBe(200);
  expect((await fetch(`${bare.url}/other/health`)).status).toBe(404);
});

test.each([
  ['/bw', '/bw'],
  ['/bw/', '/bw'],
  ['/edge, /bw', '/edge/bw'],
  [undefined, ''],
  ['/', ''],
  ['bw', ''],
  ['//evil.example', ''],
  ['/a/../b', ''],
  ['https://evil.example', ''],
  ['/a b', ''],
])('the prefix %s is taken as "%s"', (header, prefix) => {
  expect(forwardedPrefix(header)).toBe(prefix);
});
