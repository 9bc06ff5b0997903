import type { IncomingMessage } from 'node:http';
import { parse, serialize } from 'hono/utils/cookie';
import type { Config } from '../config.ts';

/** How the service knows its own address: requests may come through a proxy. */
export type OwnAddress = Pick<Config, 'PUBLIC_URL' | 'TRUST_PROXY'>;

type Request = Pick<IncomingMessage, 'headers'>;

/** Holds the key of a session. */
export const SESSION_COOKIE = 'bellwether_session';

/** Whether the browser came by https, which a proxy has ended. */
export function isHttps(request: Request, own: OwnAddress): boolean {
  const forwarded = own.TRUST_PROXY ? firstOf(request.headers['x-forwarded-proto']) : undefined;
  if (forwarded !== undefined) return forwarded === 'https' || forwarded === 'wss';
  const url = own.PUBLIC_URL === undefined ? undefined : new URL(own.PUBLIC_URL);
  return url?.protocol === 'https:' && hostOf(request, own, 'https:') === url.host;
}

/**
 * Whether a page of our own origin sent the request, or one of another origin; `unknown`: the browser does not say, or it is no browser.
 * A page cannot forge either header. Older browsers, and all by plain HTTP, send Origin alone.
 */
export function pageOf(request: Request, own: OwnAddress): 'own' | 'other' | 'unknown' {
  const { 'sec-fetch-site': site, origin } = request.headers;
  if (typeof site === 'string' && site !== 'none') return site === 'same-origin' ? 'own' : 'other';
  if (origin === undefined) return 'unknown';
  return isOwnOrigin(origin, request, own) ? 'own' : 'other';
}

function isOwnOrigin(origin: string, request: Request, own: OwnAddress): boolean {
  const url = URL.parse(origin);
  if (url === null) return false;
  if (own.PUBLIC_URL !== undefined && url.origin === new URL(own.PUBLIC_URL).origin) return true;
  // Without a proxy that says so, the scheme of the browser's address is not known.
  return url.host === hostOf(request, own, url.protocol) && (url.protocol === 'https:' || !isHttps(request, own));
}

/** Without the usual port of the scheme. */
function hostOf(request: Request, own: OwnAddress, protocol: string): string | undefined {
  const forwarded = own.TRUST_PROXY ? firstOf(request.headers['x-forwarded-host']) : undefined;
  return URL.parse(`${protocol}//${forwarded ?? request.headers.host ?? ''}`)?.host;
}

/** The outermost proxy's entry: the one that the browser talks to. */
function firstOf(header: string | string[] | undefined): string | undefined {
  const first = String(header ?? '')
    .split(',')[0]
    ?.trim()
    .toLowerCase();
  return first === '' ? undefined : first;
}

/** Reads a cookie of ours. By https only the name with `__Host-` counts, which neither a subdomain nor a page by plain HTTP can set. */
export function readCookie(request: Request, name: string, own: OwnAddress): string | undefined {
  const wanted = nameOf(name, isHttps(request, own));
  return parse(request.headers.cookie ?? '', wanted)[wanted];
}

/**
 * Makes the `Set-Cookie` of a cookie that scripts cannot read. `Lax`: also sent with the first request that a link or redirect of another site makes.
 * @param maxAgeSeconds 0 removes it
 */
export function cookieText(
  request: Request,
  own: OwnAddress,
  cookie: { name: string; value: string; maxAgeSeconds: number; sameSite: 'Strict' | 'Lax' },
): string {
  const secure = isHttps(request, own);
  const { sameSite, maxAgeSeconds: maxAge } = cookie;
  return serialize(nameOf(cookie.name, secure), cookie.value, { path: '/', httpOnly: true, secure, sameSite, maxAge });
}

function nameOf(name: string, isSecure: boolean): string {
  return isSecure ? `__Host-${name}` : name;
}
