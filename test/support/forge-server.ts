import { createServer, type IncomingHttpHeaders, type IncomingMessage, request as onward, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { z } from 'zod';

/** A fault of a git host's API. It applies to the first `count` matching requests, or until it is cleared. */
export type ForgeFault = (
  | { kind: 'hang' }
  | { kind: 'reset' }
  /** The host does the work, and the connection breaks before the answer. */
  | { kind: 'lost' }
  /** The host waits for `count` such requests, and then answers them one after the other. */
  | { kind: 'together' }
  | { kind: 'answer'; status: number; headers?: Record<string, string>; body?: string }
) & { count?: number; method?: string; path?: RegExp };

export type ForgeRequest = {
  method: string;
  /** Path below the API's path, in its original encoding. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  body: Body;
  /** Resolves when the answer is sent or the client disconnects. */
  over: Promise<void>;
};

/** Bodies of requests to the hosts' APIs. */
const Body = z
  .object({
    // comments
    body: z.string(),
    // statuses
    state: z.string(),
    description: z.string(),
    target_url: z.string(),
    context: z.string(),
    name: z.string(),
    // hooks of GitHub and Gitea
    type: z.string(),
    active: z.boolean(),
    events: z.array(z.string()),
    branch_filter: z.string(),
    config: z.object({ url: z.string(), secret: z.string(), content_type: z.string(), insecure_ssl: z.string() }).partial(),
    // hooks of GitLab
    url: z.string(),
    token: z.string(),
    signing_token: z.string(),
    push_events: z.boolean(),
    tag_push_events: z.boolean(),
    merge_requests_events: z.boolean(),
    enable_ssl_verification: z.boolean(),
    push_events_branch_filter: z.string(),
  })
  .partial();
type Body = z.output<typeof Body>;
export type ForgeAnswer = {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
  /** A delivery that the request causes: after the answer, or before it if the answer depends on it. */
  deliver?: { hook: Hook; delivery: { headers: Record<string, string>; body: string }; then?: (received: Response | Error) => ForgeAnswer };
};

export type Hook = {
  id: number;
  url: string;
  secret: string;
  /** GitLab: the secret signs; otherwise GitLab sends it. */
  signs?: boolean;
  push: boolean;
  tags: boolean;
  mergeRequests: boolean;
  /** Gitea: `create` and `delete`. */
  refs: boolean;
  verifiesTls: boolean;
  active: boolean;
  json: boolean;
  /** The form of payloads, by the name that this kind of host uses. */
  type: string;
  branchFilter: string;
};
export type Comment = { id: number; mergeRequest: number; body: string; authorId: number; system: boolean };
export type Status = { id: number; commit: string; state: string; context: string; description: string; targetUrl: string | null };
export type OpenRequest = { number: number; head: string; target: string; title: string; open: boolean };

/** The host's own state of one repository. */
export type ForgeState = {
  repository: string;
  hooks: Hook[];
  comments: Comment[];
  statuses: Status[];
  mergeRequests: OpenRequest[];
  /** Tokens that the host knows, with their owners and permissions. */
  tokens: Record<string, { accountId: number; may: readonly string[] }>;
  /** GitLab 19.0 and later. */
  storesSigningTokens: boolean;
  /** The host's address in hooks; null: the address of its API. */
  publicUrl: string | null;
  /** Head of its branch; null: no commit yet. */
  headCommit: string | null;
  /** Its deliveries do not arrive. */
  isCutOff: boolean;
};

/** The differences between kinds of hosts. */
export type ForgeKindServer = {
  apiPath: string;
  answer(request: ForgeRequest, state: ForgeState, origin: string): ForgeAnswer;
  /** The request with which the host reports a push. */
  push(
    hook: Hook,
    push: { ref: string; before: string; after: string; repositoryUrl: string },
  ): { headers: Record<string, string>; body: string };
};

export const TOKEN = 'forge-token-0123456789';
export const ACCOUNT = 7;

export type ForgeServer = Awaited<ReturnType<typeof openForgeServer>>;

/**
 * A git host's API on 127.0.0.1 for one repository, `fleet/tills`, after the host's own documentation. With `gitUrl`, a Git host there answers all
 * requests outside the API, so that both have one origin as in reality.
 */
export async function openForgeServer(kind: ForgeKindServer, options: { gitUrl?: string } = {}) {
  const state: ForgeState = {
    repository: 'fleet/tills',
    hooks: [],
    comments: [],
    statuses: [],
    mergeRequests: [{ number: 1, head: 'a'.repeat(40), target: 'main', title: 'VLAN 7', open: true }],
    tokens: { [TOKEN]: { accountId: ACCOUNT, may: ['webhook', 'comment', 'status', 'account'] } },
    storesSigningTokens: true,
    publicUrl: null,
    headCommit: 'd'.repeat(40),
    isCutOff: false,
  };
  const faults: Armed[] = [];
  const requests: ForgeRequest[] = [];
  const server = createServer((incoming, response) => {
    serve(incoming, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(incoming.url ?? '/', origin);
    if (!url.pathname.startsWith(`${kind.apiPath}/`)) return pass(incoming, response);
    const text = (await buffer(incoming)).toString();
    const request: ForgeRequest = {
      method: incoming.method ?? '',
      path: url.pathname.slice(kind.apiPath.length),
      query: url.searchParams,
      headers: incoming.headers,
      body: text === '' ? {} : Body.parse(JSON.parse(text)),
      over: new Promise((resolve) => response.once('close', resolve)),
    };
    requests.push(request);
    const fault = takeFault(faults, request);
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'together') await fault.gathered;
    if (fault?.kind === 'reset') return void response.destroy();
    if (fault?.kind === 'answer') return void response.writeHead(fault.status, fault.headers).end(fault.body);
    const answer = kind.answer(request, state, origin);
    const { deliver } = answer;
    const { status, body, headers } = deliver?.then === undefined ? answer : deliver.then(await send(deliver.hook, deliver.delivery));
    if (fault?.kind === 'lost') return void response.destroy();
    response
      .writeHead(status, { 'content-type': 'application/json', ...headers })
      .end(body === undefined ? undefined : JSON.stringify(body));
    if (deliver !== undefined && deliver.then === undefined) await send(deliver.hook, deliver.delivery);
  };
  const send = async (hook: Hook, { headers, body }: { headers: Record<string, string>; body: string }): Promise<Response | Error> => {
    if (state.isCutOff) return new Error('connection refused');
    return fetch(hook.url, { method: 'POST', headers, body, signal: AbortSignal.timeout(60_000) }).catch((error: unknown) =>
      error instanceof Error ? error : new Error(String(error)),
    );
  };
  const pass = (incoming: IncomingMessage, response: ServerResponse): void => {
    if (options.gitUrl === undefined) return void response.writeHead(404).end();
    const to = onward(new URL(incoming.url ?? '/', options.gitUrl), { method: incoming.method, headers: incoming.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    to.on('error', () => response.destroy());
    incoming.pipe(to);
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  return {
    url: origin,
    apiUrl: origin + kind.apiPath,
    repositoryUrl: `${origin}/${state.repository}.git`,
    state,
    requests,
    /** Webhooks in the order of `GET /hooks`. */
    asked: () => requests.map(({ method, path }) => `${method} ${path}`),
    fault: (fault: ForgeFault): void => void faults.push(armed(fault)),
    clearFaults: (): void => void faults.splice(0),
    /** Sends a push to every webhook, as the host does. */
    push: (push: { ref: string; before: string; after: string }): Promise<Response[]> =>
      Promise.all(
        state.hooks
          .filter((hook) => hook.active && (push.ref.startsWith('refs/tags/') ? hook.tags : hook.push))
          .map((hook) => {
            const { headers, body } = kind.push(hook, { ...push, repositoryUrl: repositoryUrlOf(state, origin) });
            return fetch(hook.url, { method: 'POST', headers, body, signal: AbortSignal.timeout(60_000) });
          }),
      ),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** `gathered` resolves when the last of `count` requests arrives. */
type Armed = ForgeFault & { gathered: Promise<void>; done(): void };

function armed(fault: ForgeFault): Armed {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { ...fault, gathered: promise, done: resolve };
}

function takeFault(faults: Armed[], { method, path }: ForgeRequest): Armed | undefined {
  const fault = faults.find((one) => (one.method ?? method) === method && (one.path?.test(path) ?? true));
  if (fault?.count === undefined || --fault.count > 0) return fault;
  faults.splice(faults.indexOf(fault), 1);
  fault.done();
  return fault;
}

/** Increasing ids, as on every host. */
let lastId = 100;
export function nextId(): number {
  lastId += 1;
  return lastId;
}

/** As hooks name it. */
export function repositoryUrlOf({ repository, publicUrl }: ForgeState, origin: string): string {
  return `${publicUrl ?? origin}/${repository}.git`;
}

/** A page of a list. */
export function pageOf<T>(all: readonly T[], page: number, size: number): { items: T[]; hasNext: boolean } {
  return { items: all.slice((page - 1) * size, page * size), hasNext: page * size < all.length };
}

/** Another person's. */
export function aComment(state: ForgeState, over: Partial<Comment> = {}): Comment {
  const comment = { id: nextId(), mergeRequest: 1, body: 'looks good', authorId: 99, system: false, ...over };
  state.comments.push(comment);
  return comment;
}

export function aHook(state: ForgeState, over: Partial<Hook> & { url: string }): Hook {
  const plain = {
    ...{ secret: '', push: true, tags: true, mergeRequests: true, refs: true },
    ...{ verifiesTls: false, active: true, json: true, branchFilter: '' },
  };
  const hook = { id: nextId(), type: 'gitea', ...plain, ...over };
  state.hooks.push(hook);
  return hook;
}
