import type { IncomingMessage, Server } from 'node:http';

export type BasePaths = {
  /** Public URL of the service, such as `https://host/bw`; undefined: at the root, or behind a proxy that removes the prefix. */
  publicUrl: string | undefined;
  /** Whether `X-Forwarded-Prefix` is trusted. */
  trustProxy: boolean;
  /** First segments of the service's own paths. */
  roots: ReadonlySet<string>;
};

/**
 * Removes the base path from request URLs, for reverse proxies that pass the path on unchanged. Requests whose proxy already removed the prefix
 * stay unchanged. Call it last, since it must handle requests and upgrades before all other listeners of the server.
 */
export function serveBelowBasePath(server: Server, paths: BasePaths): void {
  const strip = (request: IncomingMessage): void => {
    const url = request.url ?? '';
    for (const prefix of prefixesOf(request, paths)) {
      const rest = withoutPrefix(url, prefix, paths.roots);
      if (rest === undefined) continue;
      request.url = rest;
      return;
    }
  };
  server.prependListener('request', strip);
  server.prependListener('upgrade', strip);
}

/** Returns the path of a URL without a slash at its end; '' at the root. */
export function basePathOf(publicUrl: string | undefined): string {
  return publicUrl === undefined ? '' : new URL(publicUrl).pathname.replace(/\/+$/, '');
}

/** Returns the prefix that proxies removed or kept, joined where several proxies each name theirs; '' without one and for an invalid path. */
export function forwardedPrefix(header: string | undefined): string {
  const parts = (header ?? '').split(',').map((part) => part.trim().replace(/\/+$/, ''));
  const prefix = parts.join('');
  return /^(?:\/[\w.~%-]+)+$/.test(prefix) && !/\/\.{1,2}(?:\/|$)/.test(prefix) ? prefix : '';
}

function prefixesOf(request: IncomingMessage, { publicUrl, trustProxy }: BasePaths): string[] {
  const header = request.headers['x-forwarded-prefix'];
  const forwarded = trustProxy ? forwardedPrefix(Array.isArray(header) ? header.join() : header) : '';
  return [basePathOf(publicUrl), forwarded].filter((prefix) => prefix !== '');
}

/**
 * Returns undefined when the URL is not below the prefix. The next segment must be one of the service's own. A base path `/api` must not be removed
 * from `/api/v1/devices`, whose proxy has removed it already.
 */
function withoutPrefix(url: string, prefix: string, roots: ReadonlySet<string>): string | undefined {
  if (!url.startsWith(prefix)) return undefined;
  const rest = url.slice(prefix.length);
  // The dashboard's first page: the prefix alone.
  if (/^\/?(\?|$)/.test(rest)) return rest.startsWith('/') ? rest : `/${rest}`;
  const root = /^\/([^/?]+)/.exec(rest)?.[1];
  return root !== undefined && roots.has(root) ? rest : undefined;
}
