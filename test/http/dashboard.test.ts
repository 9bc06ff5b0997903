import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildDashboard } from '../../web/build.ts';
import { openService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  buildDashboard();
  service = await openService({ ROLE: 'api', PUBLIC_URL: 'https://fleet.example.com/bw', TRUST_PROXY: 'true' });
});
afterAll(() => service.close());

const ask = (path: string, init: RequestInit = {}) => fetch(service.url + path, init);
const documentAt = async (path: string, headers: Record<string, string> = {}) => {
  const response = await ask(path, { headers });
  return { response, text: await response.text() };
};
const assetsIn = (text: string) => [...text.matchAll(/(?:src|href)="\.?\/?(assets\/[^"]+)"/g)].map(([, path]) => `/${path}`);

test('every page of the dashboard is the same document, which is asked for each time', async () => {
  for (const path of ['/', '/devices', '/devices/till-1', '/devices/a/b', '/rollouts/x?tab=causes', '/sources/x', '/login', '/settings']) {
    const { response, text } = await documentAt(path);
    expect([path, response.status, response.headers.get('content-type')]).toEqual([path, 200, 'text/html; charset=UTF-8']);
    expect(response.headers.get('cache-control')).toBe('no-cache');
    expect(text).toContain('<div id="root">');
  }
  expect((await ask('/no-such-page')).status).toBe(404);
  expect((await ask('/devices', { method: 'POST' })).status).toBe(404);
});

test('the policy lets no inline script run, and its nonce is new in each answer', async () => {
  const nonces = new Set<string>();
  for (let at = 0; at < 3; at++) {
    const { response, text } = await documentAt('/devices');
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).not.toMatch(/unsafe-|\*|https?:/);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self';");
    expect(policy).toContain("frame-ancestors 'none'");
    const [, nonce = ''] = /'nonce-([^']+)'/.exec(policy) ?? [];
    expect(text).toContain(`nonce="${nonce}"`);
    nonces.add(nonce);
    expect(text).not.toMatch(/<script(?![^>]* src=)|<style| on[a-z]+=/);
  }
  expect(nonces.size).toBe(3);
});

test('files of the dashboard are kept for ever, compressed as the browser accepts, and are no other files', async () => {
  const { text } = await documentAt('/');
  const assets = assetsIn(text);
  expect(assets.some((path) => path.endsWith('.js')) && assets.some((path) => path.endsWith('.css'))).toBe(true);
  for (const path of assets) {
    const plain = await ask(path, { headers: { 'accept-encoding': 'identity' } });
    expect([path, plain.status, plain.headers.get('cache-control')]).toEqual([path, 200, 'public, max-age=31536000, immutable']);
    const body = await plain.text();
    for (const encoding of ['br', 'gzip']) {
      const packed = await ask(path, { headers: { 'accept-encoding': encoding } });
      if (/\.(js|css|svg)$/.test(path)) expect([path, packed.headers.get('content-encoding')]).toEqual([path, encoding]);
      expect(packed.headers.get('vary')).toContain('accept-encoding');
      expect((await packed.text()) === body).toBe(true);
    }
    const known = await ask(path, { headers: { 'if-none-match': plain.headers.get('etag') ?? '' } });
    expect([known.status, await known.text()]).toEqual([304, '']);
  }
  for (const path of ['/assets/none.js', '/assets/..%2findex.html', '/assets/%2e%2e%2findex.html', '/assets/', '/assets'])
    expect([path, (await ask(path)).status]).toEqual([path, 404]);
});

test('the base of the document is the path of the public address, or the prefix that the proxy names', async () => {
  expect((await documentAt('/devices/x')).text).toContain('<base href="/bw/">');
  expect((await documentAt('/bw/devices/x')).text).toContain('<base href="/bw/">');
  expect((await documentAt('/bw')).text).toContain('<base href="/bw/">');
  expect((await documentAt('/devices', { 'x-forwarded-prefix': '/other/path' })).text).toContain('<base href="/other/path/">');
  expect((await documentAt('/devices', { 'x-forwarded-prefix': '/"><script>' })).text).toContain('<base href="/bw/">');
});
