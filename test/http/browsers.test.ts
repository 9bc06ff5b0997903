import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { ADMIN_TOKEN, openService, type TestService } from '../support/service.ts';

const ORIGIN = 'https://fleet.example.com';
const ALLOWED = `${ORIGIN},https://other.example.com:8443`;

let service: TestService;
let device: Record<string, string>;
let hookPath: string;
beforeAll(async () => {
  service = await openService({ ROLE: 'api', CORS_ORIGINS: ALLOWED });
  const { apiKey } = (await service.api('POST', '/devices', { id: 'till' })).body;
  device = { 'x-device-id': 'till', 'x-api-key': apiKey };
  const source = (await service.api('POST', '/sources', { name: 's', url: 'https://example.com/a.git', layout: 'repo' })).body;
  hookPath = `/hooks/${source.id}`;
});
afterAll(() => service.close());

const bearer = { authorization: `Bearer ${ADMIN_TOKEN}` };
const json = { 'content-type': 'application/json' };

describe('pages of other origins', () => {
  const ask = (path: string, origin: string | undefined, init: RequestInit = {}) =>
    fetch(service.url + path, {
      ...init,
      headers: { ...(origin === undefined ? {} : { origin }), ...(init.headers as Record<string, string>) },
    });
  const preflight = (path: string, origin: string, method: string) =>
    ask(path, origin, {
      method: 'OPTIONS',
      headers: {
        'access-control-request-method': method,
        'access-control-request-headers': 'authorization,content-type,if-match,idempotency-key',
      },
    });

  test.each(['/api/v1/devices', '/api/v1/devices/till', '/api/v1/devices/pending', '/api/devices', '/api/devices/till/start'])(
    'allowed origins may call %s, with a preflight that needs no credentials; others may not',
    async (path) => {
      for (const origin of ALLOWED.split(',')) {
        const { status, headers } = await preflight(path, origin, 'DELETE');
        expect([status, headers.get('access-control-allow-origin')]).toEqual([204, origin]);
        expect(headers.get('access-control-allow-methods')).toContain('PATCH');
        expect(headers.get('access-control-allow-headers')).toBe('authorization,content-type,if-match,idempotency-key');
        expect(headers.get('access-control-allow-credentials')).toBeNull();
        expect(headers.get('vary')).toContain('Origin');
      }
      for (const origin of [
        'https://evil.example',
        'null',
        `${ORIGIN}.evil.example`,
        'http://fleet.example.com',
        'https://other.example.com',
        `${ORIGIN}:8443`,
      ])
        expect([origin, (await preflight(path, origin, 'GET')).headers.get('access-control-allow-origin')]).toEqual([origin, null]);
    },
  );

  test('only allowed origins can read answers and refusals, and caches keep them apart', async () => {
    const answers: [string, RequestInit, number][] = [
      ['/api/v1/devices', { headers: bearer }, 200],
      ['/api/v1/devices', {}, 401],
      ['/api/v1/no-such', { headers: bearer }, 404],
      ['/api/v1/devices', { method: 'POST', headers: { ...bearer, ...json }, body: '{' }, 400],
      ['/api/devices', { headers: bearer }, 200],
    ];
    for (const [path, init, status] of answers) {
      const allowed = await ask(path, ORIGIN, init);
      expect([path, allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([path, status, ORIGIN]);
      expect(allowed.headers.get('vary')).toContain('Origin');
      expect(allowed.headers.get('access-control-expose-headers')).toContain('ETag');
      const other = await ask(path, 'https://evil.example', init);
      expect([path, other.status, other.headers.get('access-control-allow-origin')]).toEqual([path, status, null]);
    }
  });

  test('paths that are not for dashboards admit no other origin', async () => {
    for (const path of ['/agent/v1/time', '/health', '/metrics', '/openapi.json', '/docs'])
      expect((await ask(path, ORIGIN)).headers.get('access-control-allow-origin')).toBeNull();
  });

  test('`*` allows all origins, never with credentials; an empty setting allows none', async () => {
    await using open = await openService({ ROLE: 'api', CORS_ORIGINS: '*' });
    const { headers } = await fetch(`${open.url}/api/v1/devices`, { headers: { origin: 'https://any.example', ...bearer } });
    expect([headers.get('access-control-allow-origin'), headers.get('access-control-allow-credentials')]).toEqual(['*', null]);
    await using closed = await openService({ ROLE: 'api' });
    const answer = await fetch(`${closed.url}/api/v1/devices`, {
      method: 'OPTIONS',
      headers: { origin: ORIGIN, 'access-control-request-method': 'GET' },
    });
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([401, null]);
  });

  test('the start fails with an origin that no browser sends', () => {
    for (const origin of ['fleet.example.com', `${ORIGIN}/`, `${ORIGIN}/app`, 'https://u:p@fleet.example.com', 'https://*.example.com '])
      expect(() => readConfig({ CORS_ORIGINS: `${ALLOWED},${origin}` }), origin).toThrow(/CORS_ORIGINS: must be/);
    expect(readConfig({ CORS_ORIGINS: ` ${ALLOWED} , http://localhost:3000,` }).CORS_ORIGINS).toHaveLength(3);
  });
});

test('every kind of answer has the security headers for browsers', async () => {
  const answers: [string, RequestInit][] = [
    ['/api/v1/devices', { headers: bearer }],
    ['/api/v1/devices', {}],
    ['/api/v1/devices', { method: 'POST', headers: { ...bearer, ...json }, body: '{}' }],
    ['/api/v1/audit/export', { headers: bearer }],
    ['/api/devices', { headers: bearer }],
    ['/no/such', {}],
    [hookPath, { method: 'POST' }],
    ['/hooks/no-such', { method: 'POST' }],
    ['/health', {}],
    ['/metrics', {}],
    ['/openapi.json', {}],
    ['/docs', {}],
    ['/docs/app.js', {}],
  ];
  for (const [path, init] of answers) {
    const { headers } = await fetch(service.url + path, init);
    const seen = ['x-content-type-options', 'x-frame-options', 'referrer-policy'].map((name) => headers.get(name));
    expect([path, ...seen]).toEqual([path, 'nosniff', 'DENY', 'no-referrer']);
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(headers.get('x-powered-by')).toBeNull();
  }
  for (const [path, init] of [
    ['/agent/v1/enroll', { method: 'POST' }],
    ['/agent/v1/desired', {}],
    ['/agent/v1/bundles/x', { headers: device }],
  ] as const) {
    const { status, headers } = await fetch(service.url + path, init);
    expect([path, status >= 400, headers.get('x-content-type-options'), headers.get('content-type')]).toEqual([
      path,
      true,
      'nosniff',
      'application/problem+json',
    ]);
  }
});
