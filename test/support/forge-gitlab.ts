import { createHmac, randomUUID } from 'node:crypto';
import {
  aComment,
  aHook,
  type ForgeAnswer,
  type ForgeKindServer,
  type ForgeRequest,
  type ForgeState,
  type Hook,
  nextId,
  pageOf,
  repositoryUrlOf,
} from './forge-server.ts';

type Push = Parameters<ForgeKindServer['push']>[1];

/** GitLab 19: https://docs.gitlab.com/api/rest/, /api/project_webhooks/, /api/notes/, /api/commits/ */
export const gitlabServer: ForgeKindServer = {
  apiPath: '/api/v4',
  answer: (request, state, origin) => {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? String(request.headers['private-token'] ?? '');
    const holder = Object.hasOwn(state.tokens, token) ? state.tokens[token] : undefined;
    if (holder === undefined) return respond(401, '401 Unauthorized');
    if (request.path === '/user') return { status: 200, body: { id: holder.accountId, username: 'bellwether' } };
    const [, project, rest = ''] = /^\/projects\/([^/]+)(\/.*)?$/.exec(request.path) ?? [];
    if (project === undefined || decodeURIComponent(project) !== state.repository) return respond(404, '404 Project Not Found');
    const may = (what: string) => holder.may.includes(what);
    if (rest === '') return { status: 200, body: { id: 1, path_with_namespace: state.repository } };
    if (rest.startsWith('/hooks')) return may('webhook') ? hooks(request, rest, state, origin) : respond(403, '403 Forbidden');
    if (rest.startsWith('/statuses/')) return may('status') ? statuses(request, rest, state) : insufficientScope();
    if (!rest.startsWith('/merge_requests')) return respond(404, '404 Not Found');
    return may('comment') ? mergeRequests(request, rest, state, { origin, accountId: holder.accountId }) : insufficientScope();
  },
  push,
};

function push(hook: Hook, { ref, before, after, repositoryUrl }: Push): { headers: Record<string, string>; body: string } {
  const body = JSON.stringify({
    object_kind: ref.startsWith('refs/tags/') ? 'tag_push' : 'push',
    ...{ ref, before, after, checkout_sha: after, user_username: 'ada', project_id: 1 },
    project: { id: 1, path_with_namespace: 'fleet/tills', git_http_url: repositoryUrl, default_branch: 'main' },
    ...{ commits: [], total_commits_count: 1 },
  });
  const id = randomUUID();
  const headers = { 'content-type': 'application/json', 'x-gitlab-event': 'Push Hook', 'idempotency-key': id };
  if (!hook.signs) return { headers: { ...headers, 'x-gitlab-token': hook.secret }, body };
  const at = String(Math.floor(Date.now() / 1000));
  const key = Buffer.from(hook.secret.slice('whsec_'.length), 'base64');
  const signature = `v1,${createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64')}`;
  return { headers: { ...headers, 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature }, body };
}

const respond = (status: number, message: unknown): ForgeAnswer => ({ status, body: { message } });

function insufficientScope(): ForgeAnswer {
  const description = 'The request requires higher privileges than provided by the access token.';
  return { status: 403, body: { error: 'insufficient_scope', error_description: description, scope: 'api' } };
}

function list<T>({ query, path }: ForgeRequest, all: readonly T[], view: (item: T) => unknown): ForgeAnswer {
  const [page, size] = [Number(query.get('page') ?? 1), Math.min(Number(query.get('per_page') ?? 20), 100)];
  const { items, hasNext } = pageOf(all, page, size);
  const headers = {
    'x-page': String(page),
    'x-per-page': String(size),
    'x-next-page': hasNext ? String(page + 1) : '',
    'x-total': String(all.length),
    // Installations behind a proxy name an address that others cannot reach.
    ...(hasNext ? { link: `<http://gitlab.internal${path}?page=${page + 1}&per_page=${size}>; rel="next"` } : {}),
  };
  return { status: 200, headers, body: items.map(view) };
}

function hooks(request: ForgeRequest, rest: string, state: ForgeState, origin: string): ForgeAnswer {
  const { method, body } = request;
  const view = (hook: Hook) => ({
    id: hook.id,
    url: hook.url,
    project_id: 1,
    push_events: hook.push,
    tag_push_events: hook.tags,
    merge_requests_events: hook.mergeRequests,
    enable_ssl_verification: hook.verifiesTls,
    push_events_branch_filter: hook.branchFilter,
    alert_status: hook.active ? 'executable' : 'disabled',
    disabled_until: null,
    ...(state.storesSigningTokens ? { token_present: !hook.signs && hook.secret !== '', signing_token_present: hook.signs === true } : {}),
  });
  if (rest === '/hooks' && method === 'GET') return list(request, state.hooks, view);
  const write = (hook: Hook): void => {
    hook.url = body.url ?? hook.url;
    hook.push = body.push_events ?? hook.push;
    hook.tags = body.tag_push_events ?? hook.tags;
    hook.mergeRequests = body.merge_requests_events ?? hook.mergeRequests;
    hook.verifiesTls = body.enable_ssl_verification ?? hook.verifiesTls;
    hook.branchFilter = body.push_events_branch_filter ?? hook.branchFilter;
    // A token beside a signing token does not change the signatures.
    if (body.token !== undefined && !hook.signs) hook.secret = body.token;
    if (body.signing_token !== undefined && state.storesSigningTokens) Object.assign(hook, { secret: body.signing_token, signs: true });
  };
  if (rest === '/hooks' && method === 'POST') {
    const { url = '' } = body;
    if (!/^https?:\/\//.test(url)) return respond(422, { url: ['is blocked: Only allowed schemes are http, https'] });
    const hook = aHook(state, { url, tags: false, mergeRequests: false, verifiesTls: true });
    write(hook);
    return { status: 201, body: view(hook) };
  }
  const tested = state.hooks.find(({ id }) => rest === `/hooks/${id}/test/push_events` && method === 'POST');
  if (tested !== undefined) return test(tested, state, origin);
  const hook = state.hooks.find(({ id }) => rest === `/hooks/${id}`);
  if (hook === undefined) return respond(404, '404 Not found');
  if (method === 'DELETE') {
    state.hooks.splice(state.hooks.indexOf(hook), 1);
    return { status: 204 };
  }
  if (method !== 'PUT') return respond(405, '405 Not Allowed');
  write(hook);
  return { status: 200, body: view(hook) };
}

/** Answers after the end of the delivery. */
function test(hook: Hook, state: ForgeState, origin: string): ForgeAnswer {
  const { headCommit: after } = state;
  if (after === null) return respond(422, 'Ensure the project has at least one commit.');
  const delivery = push(hook, { ref: 'refs/heads/main', before: 'c'.repeat(40), after, repositoryUrl: repositoryUrlOf(state, origin) });
  const then = (received: Response | Error): ForgeAnswer => {
    if (received instanceof Error) return respond(422, 'Failed to open TCP connection');
    return received.ok
      ? { status: 201, body: { message: '201 Created' } }
      : respond(422, 'Hook executed successfully but returned HTTP 401');
  };
  return { status: 201, deliver: { hook, delivery, then } };
}

const STATUS_STATES = ['pending', 'running', 'success', 'failed', 'canceled', 'skipped'];

/** Like `Ci::CreateCommitStatusService`: it updates an open status of the name. A finished one stays, and a new one follows it. */
function statuses({ body }: ForgeRequest, rest: string, state: ForgeState): ForgeAnswer {
  const commit = rest.slice('/statuses/'.length);
  if (commit === '0'.repeat(40)) return respond(404, '404 Commit Not Found');
  const { state: wanted = '', name: context = 'default' } = body;
  if (!STATUS_STATES.includes(wanted)) return { status: 400, body: { error: 'state does not have a valid value' } };
  if ((body.description ?? '').length > 255) return respond(400, { description: ['is too long (maximum is 255 characters)'] });
  if ((body.target_url ?? '').length > 255) return respond(400, { target_url: ['is too long (maximum is 255 characters)'] });
  const open = state.statuses.find(
    (status) => status.commit === commit && status.context === context && ['pending', 'running'].includes(status.state),
  );
  const event = { pending: 'enqueue', running: 'run' }[wanted];
  if (open !== undefined && event !== undefined && (wanted === open.state || wanted === 'pending'))
    return respond(400, `Cannot transition status via :${event} from :${open.state} (Reason(s): Status cannot transition via "${event}")`);
  const status = open ?? { id: nextId(), commit, context, state: '', description: '', targetUrl: null };
  if (open === undefined) state.statuses.push(status);
  Object.assign(status, { state: wanted, description: body.description ?? '', targetUrl: body.target_url ?? null });
  return { status: 201, body: { id: status.id, sha: commit, status: status.state, name: status.context } };
}

function mergeRequests(request: ForgeRequest, rest: string, state: ForgeState, who: { origin: string; accountId: number }): ForgeAnswer {
  const { method, body, query } = request;
  if (rest === '/merge_requests') {
    const wanted = state.mergeRequests.filter(({ open, target }) => open && target === query.get('target_branch'));
    return list(request, wanted, ({ number, head, target, title }) => ({
      ...{ id: number + 5000, iid: number, sha: head, target_branch: target, title, state: 'opened' },
      web_url: `${who.origin}/fleet/tills/-/merge_requests/${number}`,
    }));
  }
  const [, number, id] = /^\/merge_requests\/(\d+)\/notes(?:\/(\d+))?$/.exec(rest) ?? [];
  if (!state.mergeRequests.some((one) => one.number === Number(number))) return respond(404, '404 Not found');
  const of = state.comments.filter((one) => one.mergeRequest === Number(number));
  const view = (one: (typeof of)[number]) => ({
    id: one.id,
    body: one.body,
    author: { id: one.authorId, username: 'u' },
    system: one.system,
  });
  if (id === undefined && method === 'GET') return list(request, query.get('sort') === 'asc' ? of : of.toReversed(), view);
  if (method !== 'DELETE' && (body.body ?? '').length > 1_000_000)
    return respond(400, { note: ['is too long (maximum is 1000000 characters)'] });
  if (id === undefined) {
    const made = aComment(state, { mergeRequest: Number(number), body: body.body ?? '', authorId: who.accountId });
    return { status: 201, body: view(made) };
  }
  const comment = of.find((one) => one.id === Number(id));
  if (comment === undefined) return respond(404, '404 Not found');
  if (comment.authorId !== who.accountId) return respond(403, '403 Forbidden');
  if (method === 'DELETE') state.comments.splice(state.comments.indexOf(comment), 1);
  else comment.body = body.body ?? '';
  return method === 'DELETE' ? { status: 204 } : { status: 200, body: view(comment) };
}
