import { lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { LRUCache } from 'lru-cache';
import { Agent, buildConnector, type Dispatcher, ProxyAgent } from 'undici';
import { proxyAuthorization, proxyFor } from '../../wire/proxies.ts';
import type { AddressGuard } from './address-guard.ts';

export const CONNECT_TIMEOUT_MS = 10_000;
/** How long a name may take to be resolved here before its proxy is left to do it: behind many proxies only they know names outside. */
const PROXIED_LOOKUP_MS = 2_000;
const POOL = { connections: 32, keepAliveTimeout: 20_000, keepAliveMaxTimeout: 60_000 };

/** The connections of one guard: straight to hosts, and by the address of each proxy. */
type Pools = { direct: Agent; proxied: Map<string, ProxyAgent>; judged: LRUCache<string, true> };
const pools = new WeakMap<AddressGuard, Pools>();

/**
 * What a request to `url` goes through: the guard's own connections, or the proxy that the environment names for it. The operator chose the
 * proxy's address, so the guard does not judge it. The guard judges the host: its address where that is written in the URL, and every address
 * that its name has here. A name that cannot be resolved here is the proxy's to judge.
 * @throws Problem `address_refused`
 */
export async function dispatcherFor(guard: AddressGuard, url: URL): Promise<Dispatcher> {
  const { direct, proxied, judged } = poolsOf(guard);
  const proxy = proxyFor(guard.proxies, url);
  if (proxy === undefined) return direct;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (!judged.has(host)) await judge(guard, host);
  judged.set(host, true);
  const known = proxied.get(proxy.href);
  if (known !== undefined) return known;
  const token = proxyAuthorization(proxy);
  const tls = { timeout: CONNECT_TIMEOUT_MS };
  // Proxies take CONNECT for TLS alone, as a rule: plain HTTP is asked for by its whole URL.
  const agent = new ProxyAgent({ uri: proxy.href, ...POOL, ...(token === undefined ? {} : { token }), proxyTunnel: false, proxyTls: tls });
  proxied.set(proxy.href, agent);
  return agent;
}

/** Ends the pooled connections of a guard. Idle ones never keep the process alive. */
export async function closeConnections(guard: AddressGuard): Promise<void> {
  const known = pools.get(guard);
  pools.delete(guard);
  await Promise.all([known?.direct.destroy(), ...[...(known?.proxied.values() ?? [])].map((agent) => agent.destroy())]);
}

function poolsOf(guard: AddressGuard): Pools {
  const known = pools.get(guard);
  if (known) return known;
  const direct = new Agent({ connect: guardedConnector(guard), ...POOL });
  const made: Pools = { direct, proxied: new Map(), judged: new LRUCache({ max: 1_000, ttl: 60_000 }) };
  pools.set(guard, made);
  return made;
}

async function judge(guard: AddressGuard, host: string): Promise<void> {
  if (isIP(host)) return guard.check(host, host);
  for (const address of await addressesOf(host)) guard.check(address, host);
}

/** None for a name that is not known here, or not soon. */
function addressesOf(host: string): Promise<string[]> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve([]), PROXIED_LOOKUP_MS);
    lookup(host, { all: true }, (error, addresses) => {
      clearTimeout(late);
      resolve(error ? [] : addresses.map(({ address }) => address));
    });
  });
}

/** The guard sees literal addresses before connecting, resolved ones in the lookup, and once more the address that was connected to. */
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

function guardedLookup(guard: AddressGuard): LookupFunction {
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
