import { BlockList, isIP } from 'node:net';

/** Proxies for requests that leave this machine, as `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name them. Plain data. */
export type Proxies = {
  /** Address of the proxy for `https:`, for example `http://user:password@proxy.example.com:3128/`. */
  https?: string;
  http?: string;
  /** Entries of NO_PROXY. */
  except: readonly string[];
};

/**
 * Reads the variables in lower and upper case. Lower case wins, as with curl. ALL_PROXY replaces a missing HTTPS_PROXY or HTTP_PROXY.
 * @throws Error that names the variable and never shows a password
 */
export function readProxies(env: Record<string, string | undefined>): Proxies {
  const value = (name: string) => (env[name.toLowerCase()] ?? '').trim() || (env[name] ?? '').trim();
  const proxyOf = (name: string) => {
    const used = value(name) === '' ? 'ALL_PROXY' : name;
    return value(used) === '' ? undefined : parseProxy(used, value(used));
  };
  const [https, http] = [proxyOf('HTTPS_PROXY'), proxyOf('HTTP_PROXY')];
  const except = value('NO_PROXY')
    .toLowerCase()
    .split(/[\s,;|]+/)
    .map(exceptionOf)
    .filter(Boolean);
  return { ...(https === undefined ? {} : { https }), ...(http === undefined ? {} : { http }), except };
}

/** The proxy for a request to `url`; undefined: a direct connection. Requests to this machine never use a proxy. */
export function proxyFor(proxies: Proxies | undefined, url: URL): URL | undefined {
  const proxy = url.protocol === 'https:' ? proxies?.https : proxies?.http;
  if (proxies === undefined || proxy === undefined) return undefined;
  const host = bare(url.hostname.toLowerCase());
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  if (isLoopback(host) || proxies.except.some((entry) => isExcepted(entry, host, port))) return undefined;
  return new URL(proxy);
}

/** Value of `Proxy-Authorization`, from the credentials in a proxy's address. */
export function proxyAuthorization({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  return `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`;
}

/**
 * Adds to the reason of a failed request which proxy it used and what status the proxy answered.
 * @returns `reason` itself for a request without a proxy
 */
export function withProxy(reason: string, proxies: Proxies | undefined, url: URL): string {
  const proxy = proxyFor(proxies, url);
  if (proxy === undefined) return reason;
  // undici: "Proxy response (407) !== 200 when HTTP Tunneling"; Node: "… HTTP/1.1 407 Proxy Authentication Required".
  const status = /Proxy response \((\d{3})\)|HTTP\/1\.[01] (\d{3})/.exec(reason);
  const answered = status?.[1] ?? status?.[2];
  const via = `through the proxy "${proxy.origin}"`;
  if (answered === undefined) return `${reason} (${via})`;
  const advice = answered === '407' ? ': it requires a user and a password, as in http://user:password@host:port' : '';
  return `the proxy "${proxy.origin}" answered ${answered}${advice}`;
}

function parseProxy(name: string, text: string): string {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  const fault = proxyFault(text, url);
  if (url !== null && fault === undefined) return url.href;
  throw new Error(`${name} ${fault}, must be the address of an HTTP proxy such as http://proxy.example.com:3128`);
}

/** The fault of a proxy's address. It never quotes the text, which may hold a password. */
function proxyFault(text: string, url: URL | null): string | undefined {
  // Files of `docker --env-file` and of systemd keep or remove quotes by different rules.
  if (/^["'`]|["'`]$/.test(text)) return 'has quotes around it';
  const encoding = 'percent-encode special characters of its user and password, for example "#" as %23';
  if (url === null) return text.includes('@') ? `is no URL (${encoding})` : 'is no URL';
  if (!['http:', 'https:'].includes(url.protocol)) return `has the scheme "${url.protocol.slice(0, -1)}"`;
  return isDecodable(url) ? undefined : `has a "%" that encodes nothing (${encoding})`;
}

/** Reduces an entry of NO_PROXY to a host, network or pattern. Some people write whole URLs, or brackets around a network's address. */
function exceptionOf(entry: string): string {
  const bare = entry.replace(/^[a-z][a-z0-9+.-]*:\/\//, '');
  const network = /^\[([^\]]*)\](\/\d+)$/.exec(bare);
  if (network !== null) return `${network[1]}${network[2]}`;
  return bare === entry ? bare.replace(/\/$/, '') : bare.replace(/\/.*$/, '');
}

function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || isIn(LOOPBACK, host);
}

/**
 * Matches a host with an entry, which is one of these, each also with `:port`: `*`; a host, with or without a dot or `*.` before it, which also
 * matches all its subdomains; a pattern such as `10.*` or `git.*.example.com`; `<local>` for names without a dot; an address; a network such as
 * 10.0.0.0/8.
 */
function isExcepted(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  const [, named = entry, wantedPort] = /^(\[[^\]]*\]|[^:]+):(\d+)$/.exec(entry) ?? [];
  if (wantedPort !== undefined && wantedPort !== port) return false;
  const name = bare(named)
    .replace(/^\*?\./, '')
    .replace(/\.$/, '');
  const [network = '', bits] = name.split('/');
  if (isIP(network) !== 0) return isIn(networkOf(network, bits), host);
  if (name === '<local>') return !host.includes('.') && !host.includes(':');
  if (name.includes('*')) return patternOf(name).test(host);
  return name !== '' && (host === name || host.endsWith(`.${name}`));
}

/** A star matches any characters, as in Java and Windows. The pattern also matches all subdomains, as other names do. */
function patternOf(name: string): RegExp {
  const parts = name.split(/\*+/).map((part) => part.replaceAll(/[^a-z0-9-]/g, '\\$&'));
  return new RegExp(`^(?:.*\\.)?${parts.join('.*')}$`);
}

function networkOf(address: string, bits: string | undefined): BlockList {
  const list = new BlockList();
  const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
  const width = family === 'ipv4' ? 32 : 128;
  const prefix = bits === undefined ? width : Number(bits);
  if (Number.isInteger(prefix) && prefix >= 0 && prefix <= width) list.addSubnet(address, prefix, family);
  return list;
}

function isIn(list: BlockList, host: string): boolean {
  const version = isIP(host);
  return version !== 0 && list.check(host, version === 4 ? 'ipv4' : 'ipv6');
}

/** Removes the brackets of an IPv6 address, and the dot at the end of a fully qualified name. */
function bare(host: string): string {
  return host.replace(/^\[|\]$/g, '').replace(/\.$/, '');
}
