import { lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { LRUCache } from 'lru-cache';
import { Agent, buildConnector, type Dispatcher, ProxyAgent } from 'undici';
import { proxyAuthorization, proxyFor } from '../../wire/proxies.ts';
import type { AddressGuard } from './address-guard.ts';

export const CONNECT_TIMEOUT_MS = 10_000;
/** Time to resolve a name here before the proxy has to resolve it. In many networks only the proxy can resolve external names. */
const PROXIED_LOOKUP_MS = 2_000;
const POOL = { connections: 32, keepAliveTimeout: 20_000, keepAliveMaxTimeout: 60_000 };

/** The connections of one guard: directly to hosts, and through each proxy by its address. */
type Pools = { direct: Agent; proxied: Map<string, ProxyAgent>; checked: LRUCache<string, true> };
const pools = new WeakMap<AddressGuard, Pools>();

/**
 * Chooses the dispatcher for a request to `url`: the guard's own connections, or the proxy that the environment names. The operator chose the proxy's
 * address, so the guard does not check it. The guard checks the host: a literal address in the URL, or every address to which its name resolves here.
 * The proxy must check a name that does not resolve here.
 * @throws Problem `address_refused`
 */
export async function dispatcherFor(guard: AddressGuard, url: URL): Promise<Dispatcher> {
  const { direct, proxied, checked } = poolsOf(guard);
  const proxy = proxyFor(guard.proxies, url);
  if (proxy === undefined) return direct;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (!checked.has(host)) await checkHost(guard, host);
  checked.set(host, true);
  const known = proxied.get(proxy.href);
  if (known !== undefined) return known;
  const token = proxyAuthorization(proxy);
  const tls = { timeout: CONNECT_TIMEOUT_MS };
  // Most proxies accept CONNECT only for TLS; for plain HTTP they expect the whole URL.
  const agent = new ProxyAgent({ uri: proxy.href, ...POOL, ...(token === undefined ? {} : { token }), proxyTunnel: false, proxyTls: tls });
  proxied.set(proxy.href, agent);
  return agent;
}

/** Closes the pooled connections of a guard. Idle ones never keep the process alive. */
export async function closeConnections(guard: AddressGuard): Promise<void> {
  const known = pools.get(guard);
  pools.delete(guard);
  await Promise.all([known?.direct.destroy(), ...[...(known?.proxied.values() ?? [])].map((agent) => agent.destroy())]);
}

function poolsOf(guard: AddressGuard): Pools {
  const known = pools.get(guard);
  if (known) return known;
  const direct = new Agent({ connect: guardedConnector(guard), ...POOL });
  const made: Pools = { direct, proxied: new Map(), checked: new LRUCache({ max: 1_000, ttl: 60_000 }) };
  pools.set(guard, made);
  return made;
}

async function checkHost(guard: AddressGuard, host: string): Promise<void> {
  if (isIP(host)) return guard.check(host, host);
  for (const address of await addressesOf(host)) guard.check(address, host);
}

/** Returns no address for a name that does not resolve here within `PROXIED_LOOKUP_MS`. */
function addressesOf(host: string): Promise<string[]> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve([]), PROXIED_LOOKUP_MS);
    lookup(host, { all: true }, (error, addresses) => {
      clearTimeout(late);
      resolve(error ? [] : addresses.map(({ address }) => address));
    });
  });
}

/** The guard checks literal addresses before connecting, resolved ones in the lookup, and the peer's address after connecting. */
function guardedConnector(guard: AddressGuard): buildConnector.connector {
  const connect = buildConnector({ timeout: CONNECT_TIMEOUT_MS, lookup: guardedLookup(guard) });
  return (options, callback) => {
    try {
      const host = options.hostname.replace(/^\[|\]$/g, '');
      if (isIP(host)) guard.check(host, host);
    } catch (error) {
      callback(asError(error), null);
      return;
    }
    connect(options, (error, socket) => {
      if (error || !socket) return callback(error ?? new Error('no connection'), null);
      try {
        guard.check(socket.remoteAddress ?? '', options.hostname);
        callback(null, socket);
      } catch (refused) {
        socket.destroy();
        callback(asError(refused), null);
      }
    });
  };
}

export function guardedLookup(guard: AddressGuard): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      const first = addresses?.[0];
      if (error || !first) return callback(error ?? new Error(`no address for ${hostname}`), '');
      try {
        for (const { address } of addresses) guard.check(address, hostname);
      } catch (refused) {
        return callback(asError(refused), '');
      }
      if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
