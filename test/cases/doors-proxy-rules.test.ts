import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { closeConnections, dispatcherFor } from '../../src/git/http/connections.ts';
import { proxyAuthorization, proxyFor, readProxies, withProxy } from '../../src/wire/proxies.ts';

/** Names as a network's own DNS has them: one inside, one outside, one that has both; all else only the proxy knows. */
const NAMES: Record<string, string[]> = {
  'inner.example.test': ['10.1.2.3'],
  'metadata.example.test': ['169.254.169.254'],
  'outer.example.test': ['192.0.32.8'],
  'both.example.test': ['192.0.32.8', '10.1.2.3'],
};

type Found = (error: Error | null, addresses?: { address: string; family: number }[]) => void;

/** In place of the system's: test files share one process, so that it is put back afterwards. */
function lookupInNames(host: string, _options: unknown, done: Found): void {
  const addresses = NAMES[host];
  if (addresses === undefined) done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' }));
  else
    done(
      null,
      addresses.map((address) => ({ address, family: 4 })),
    );
}

const { lookup } = dns;
const resolveBy = (resolver: unknown) => {
  Object.assign(dns, { lookup: resolver });
  syncBuiltinESMExports();
};
beforeAll(() => resolveBy(lookupInNames));
afterAll(() => resolveBy(lookup));

const proxy = 'http://proxy.example.com:3128/';

test.each<[Record<string, string>, string | undefined, string | undefined]>([
  [{ HTTPS_PROXY: proxy }, proxy, undefined],
  [{ HTTP_PROXY: proxy }, undefined, proxy],
  [{ https_proxy: proxy, HTTPS_PROXY: 'http://other:1' }, proxy, undefined],
  [{ https_proxy: '', HTTPS_PROXY: proxy }, proxy, undefined],
  [{ HTTPS_PROXY: 'proxy.example.com:3128' }, proxy, undefined],
  [{ HTTPS_PROXY: ' http://proxy.example.com:3128\n' }, proxy, undefined],
  [{ ALL_PROXY: proxy }, proxy, proxy],
  [{ all_proxy: 'socks5://x:1', HTTPS_PROXY: proxy, HTTP_PROXY: proxy }, proxy, proxy],
  [{ HTTPS_PROXY: 'https://proxy.example.com' }, 'https://proxy.example.com/', undefined],
  [{}, undefined, undefined],
])('%o', (env, https, http) => {
  const proxies = readProxies(env);
  expect(proxyFor(proxies, new URL('https://host.example.org'))?.href).toBe(https);
  expect(proxyFor(proxies, new URL('http://host.example.org'))?.href).toBe(http);
});

test.each([
  [{ HTTPS_PROXY: 'socks5://robot:secret@proxy:1080' }, 'HTTPS_PROXY has the scheme "socks5", must be the address of an HTTP proxy'],
  [{ ALL_PROXY: 'socks5h://proxy:1080' }, 'ALL_PROXY has the scheme "socks5h"'],
  [{ HTTP_PROXY: 'http://' }, 'HTTP_PROXY is no URL'],
  [{ HTTP_PROXY: 'http://robot:100%@proxy:1' }, 'HTTP_PROXY has a "%" that encodes nothing'],
])('%o is refused, without the password', (env: Record<string, string>, message) => {
  expect(() => readProxies(env)).toThrow(message);
  expect(() => readConfig(env)).toThrow(message);
  expect(() => readProxies(env)).not.toThrow(/secret|100%/);
});

test.each([
  ['', 'https://a.example.org', true],
  ['*', 'https://a.example.org', false],
  ['example.org', 'https://example.org', false],
  ['example.org', 'https://a.b.example.org', false],
  ['example.org', 'https://notexample.org', true],
  ['.example.org', 'https://a.example.org', false],
  ['.example.org', 'https://example.org', false],
  ['*.example.org', 'https://a.example.org', false],
  ['EXAMPLE.org', 'https://A.example.ORG', false],
  ['example.org.', 'https://example.org', false],
  ['example.org', 'https://example.org.', false],
  ['example.org:8443', 'https://example.org', true],
  ['example.org:8443', 'https://example.org:8443', false],
  ['example.org:443', 'https://example.org', false],
  ['other.org, example.org', 'https://example.org', false],
  ['other.org example.org', 'https://example.org', false],
  ['10.0.0.0/8', 'https://10.1.2.3', false],
  ['10.0.0.0/8', 'https://11.1.2.3', true],
  ['10.1.2.3', 'https://10.1.2.3:8443', false],
  ['10.1.2.3:443', 'https://10.1.2.3:8443', true],
  ['fd00::/8', 'https://[fd12::1]', false],
  ['[fd12::1]', 'https://[fd12::1]', false],
  ['[fd12::1]:443', 'https://[fd12::1]:8443', true],
  ['10.0.0.0/99', 'https://10.1.2.3', true],
  ['example.org/8', 'https://example.org', true],
  ['', 'https://localhost', false],
  ['', 'https://api.localhost', false],
  ['', 'https://127.8.8.8:1', false],
  ['', 'https://[::1]', false],
])('NO_PROXY "%s": %s goes through the proxy: %s', (except, url, isProxied) => {
  const proxies = readProxies({ HTTPS_PROXY: proxy, NO_PROXY: except });
  expect(proxyFor(proxies, new URL(url)) !== undefined).toBe(isProxied);
});

test('credentials of the proxy are decoded, and never shown', () => {
  const url = new URL('http://robot:p%40ss%3A@proxy.example.com:3128');
  expect(proxyAuthorization(url)).toBe(`Basic ${Buffer.from('robot:p@ss:').toString('base64')}`);
  expect(proxyAuthorization(new URL('http://robot@proxy'))).toBe(`Basic ${Buffer.from('robot:').toString('base64')}`);
  const proxies = readProxies({ HTTPS_PROXY: url.href });
  expect(withProxy('refused', proxies, new URL('https://a'))).toBe('refused (through the proxy "http://proxy.example.com:3128")');
  expect(withProxy('refused', proxies, new URL('http://a'))).toBe('refused');
});

test.each([
  ['https://10.1.2.3', 'private'],
  ['https://[fd00::1]', 'private'],
  ['https://169.254.169.254', 'metadata'],
  ['https://inner.example.test', 'private'],
  ['https://metadata.example.test', 'metadata'],
  ['https://both.example.test', 'private'],
])('the guard refuses %s before the proxy is asked', async (url, why) => {
  const guard = addressGuard({ allowPrivate: false, proxies: readProxies({ HTTPS_PROXY: proxy }) });
  await expect(dispatcherFor(guard, new URL(url))).rejects.toMatchObject({
    code: 'address_refused',
    message: expect.stringContaining(why),
  });
  await closeConnections(guard);
});

test.each(['https://outer.example.test', 'https://known-to-the-proxy.example.test'])(
  'the guard lets %s go to the proxy, which may be inside',
  async (url) => {
    const guard = addressGuard({ allowPrivate: false, proxies: readProxies({ HTTPS_PROXY: 'http://10.0.0.1:3128' }) });
    const dispatcher = await dispatcherFor(guard, new URL(url));
    expect(dispatcher.constructor.name).toBe('ProxyAgent');
    expect(await dispatcherFor(guard, new URL(url))).toBe(dispatcher);
    await closeConnections(guard);
  },
);
