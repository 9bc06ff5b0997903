import { io, type Socket } from 'socket.io-client';
import type { Answer } from '../support/service.ts';

/** A browser on our own page: it keeps cookies, and sends what browsers send. */
export type Browser = {
  /** Cookies by name. */
  cookies: Map<string, string>;
  /** The last `Set-Cookie` headers. */
  setCookies: string[];
  csrfToken: string;
  /** Headers of a request of our own page, unless `headers` names others; undefined removes one. */
  ask(method: string, path: string, body?: unknown, headers?: Headers): Promise<Answer>;
  /** Signs in with a token or a code, and remembers the CSRF token. */
  signIn(proof: { token: string } | { code: string }, headers?: Headers): Promise<Answer>;
  cookie(): string;
};

type Headers = Record<string, string | undefined>;

export function openBrowser(url: string): Browser {
  const browser: Browser = {
    cookies: new Map(),
    setCookies: [],
    csrfToken: '',
    cookie: () => [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
    ask: async (method, path, body, headers = {}) => {
      const usual: Headers = {
        ...(browser.cookies.size === 0 ? {} : { cookie: browser.cookie() }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(method === 'GET' ? {} : { origin: url, 'x-csrf-token': browser.csrfToken || undefined }),
        'sec-fetch-site': 'same-origin',
      };
      const sent = Object.entries({ ...usual, ...headers }).filter((pair): pair is [string, string] => pair[1] !== undefined);
      const response = await fetch(`${url}${path}`, {
        method,
        headers: sent,
        redirect: 'manual',
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      browser.setCookies = response.headers.getSetCookie();
      for (const text of browser.setCookies) keep(browser.cookies, text);
      const text = await response.text();
      const isJson = /^application\/([a-z]+\+)?json\b/.test(response.headers.get('content-type') ?? '');
      return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
    },
    signIn: async (proof, headers) => {
      const answer = await browser.ask('POST', '/api/v1/session', proof, headers);
      browser.csrfToken = answer.body.csrfToken ?? '';
      return answer;
    },
  };
  return browser;
}

function keep(cookies: Map<string, string>, text: string): void {
  const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(text) ?? [];
  if (/max-age=0\b/i.test(text)) cookies.delete(name);
  else cookies.set(name, value);
}

/** A live connection without a token. It does not reconnect. */
export function openLive(url: string, headers: Record<string, string>): Socket {
  return io(`${url}/live`, { transports: ['websocket'], reconnection: false, forceNew: true, extraHeaders: headers });
}

/** Begins a live connection by polling, as bytes: the client in Node sends no cookies so. @returns the answer to the connection to `/live` */
export async function pollLive(url: string, headers: Record<string, string>): Promise<string> {
  const address = `${url}/socket.io/?EIO=4&transport=polling`;
  const { sid } = JSON.parse((await (await fetch(address, { headers })).text()).slice(1));
  await fetch(`${address}&sid=${sid}`, { method: 'POST', headers, body: '40/live,' });
  return (await fetch(`${address}&sid=${sid}`, { headers })).text();
}

/** @returns 'connected', or the code that refused the connection */
export function outcomeOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('connect', () => resolve('connected'));
    socket.once('connect_error', (error) => resolve(error.message));
  });
}
