import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { type Context, Hono } from 'hono';
import type { Config } from '../config.ts';
import { basePathOf, forwardedPrefix } from '../http/base-path.ts';
import { DASHBOARD_PAGES } from '../wire/page/addresses.ts';
import type { Env } from './env.ts';

/** `npm ci` builds the dashboard into this folder; the service does so at its start where it is missing. */
const BUILT = join(import.meta.dirname, '../../web/dist');

const TYPES: Record<string, string> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  woff2: 'font/woff2',
  png: 'image/png',
};

type Asset = { body: Buffer; brotli?: Buffer; gzip?: Buffer; type: string; etag: string };

/**
 * The pages of the dashboard: one document for all of them, and its files. Only GET and HEAD. Files carry a hash in their names, so that browsers
 * keep them for ever; the document is asked for each time.
 */
export function dashboardRoutes(config: Pick<Config, 'PUBLIC_URL' | 'TRUST_PROXY'>, folder = BUILT): Hono<Env> {
  const app = new Hono<Env>();
  let document: string | undefined;
  const assets = new Map<string, Asset>();
  const page = (c: Context<Env>) => {
    document ??= readDocument(folder);
    if (document === undefined) return c.text(NOT_BUILT, 503);
    const nonce = randomBytes(16).toString('base64');
    return c.html(withBase(document, baseOf(c, config), nonce), 200, {
      'cache-control': 'no-cache',
      'content-security-policy': securityPolicy(nonce),
    });
  };
  for (const root of DASHBOARD_PAGES) {
    app.get(root === '' ? '/' : `/${root}`, page);
    if (root !== '') app.get(`/${root}/*`, page);
  }
  app.get('/assets/:name', (c, next) => {
    const name = c.req.param('name');
    const asset = assets.get(name) ?? readAsset(folder, name);
    if (asset === undefined) return next();
    assets.set(name, asset);
    return answer(c, asset);
  });
  return app;
}

const NOT_BUILT =
  'Cannot show the dashboard: it is not built. Run "npm run web:build" in the folder of the service, then load this page again.\n';

function readDocument(folder: string): string | undefined {
  const file = join(folder, 'index.html');
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

/** A name that is no file of the folder reads nothing, so that no path leaves it. */
function readAsset(folder: string, name: string): Asset | undefined {
  const assets = join(folder, 'assets');
  if (!existsSync(assets) || !readdirSync(assets).includes(name)) return undefined;
  const body = readFileSync(join(assets, name));
  const type = TYPES[name.split('.').at(-1) ?? ''] ?? 'application/octet-stream';
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  if (type.startsWith('font/')) return { body, type, etag };
  const brotli = brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } });
  return { body, brotli, gzip: gzipSync(body), type, etag };
}

function answer(c: Context<Env>, { body, brotli, gzip, type, etag }: Asset): Response {
  const headers = { 'cache-control': 'public, max-age=31536000, immutable', etag, vary: 'accept-encoding' };
  if (c.req.header('if-none-match') === etag) return c.body(null, 304, headers);
  const accepted = c.req.header('accept-encoding') ?? '';
  const [encoding, bytes] =
    brotli !== undefined && /\bbr\b/.test(accepted)
      ? ['br', brotli]
      : gzip !== undefined && /\bgzip\b/.test(accepted)
        ? ['gzip', gzip]
        : [undefined, body];
  return c.body(new Uint8Array(bytes), 200, {
    ...headers,
    'content-type': type,
    ...(encoding === undefined ? {} : { 'content-encoding': encoding }),
  });
}

/** Addresses in the document are relative to this one, so that it works below every proxy's prefix. */
function baseOf(c: Context<Env>, { PUBLIC_URL, TRUST_PROXY }: Pick<Config, 'PUBLIC_URL' | 'TRUST_PROXY'>): string {
  return `${(TRUST_PROXY ? forwardedPrefix(c.req.header('x-forwarded-prefix')) : '') || basePathOf(PUBLIC_URL)}/`;
}

function withBase(document: string, base: string, nonce: string): string {
  const attribute = base.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  return document.replace('<head>', `<head>\n<base href="${attribute}">\n<meta name="csp-nonce" nonce="${nonce}">`);
}

/** The two constant style elements of the component library's select, which hide the scroll bars of its list. */
const SELECT_STYLES = "'sha256-441zG27rExd4/il+NvIqyL8zFx5XmyNQtE381kSkUJk=' 'sha256-vGQdhYJbTuF+M8iCn1IZCHpdkiICocWHDq4qnQF4Rjw='";

/** Everything comes from our own origin. The nonce is for one kind of style element: dialogs lock the page's scrolling with it. */
function securityPolicy(nonce: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}' ${SELECT_STYLES}`,
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ');
}
