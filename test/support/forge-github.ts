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

/** GitHub Enterprise Server, which answers as github.com does: https://docs.github.com/rest */
export const githubServer: ForgeKindServer = {
  apiPath: '/api/v3',
  answer: (request, state, origin) => {
    if (!request.headers['user-agent'])
      return respond(403, 'Request forbidden by administrative rules. Please make sure your request has a User-Agent header');
    const token = /^(?:Bearer|token) (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const holder = Object.hasOwn(state.tokens, token) ? state.tokens[token] : undefined;
    if (holder === undefined) return respond(401, 'Bad credentials');
    const may = (what: string) => holder.may.includes(what);
    const denied = () => respond(403, 'Resource not accessible by personal access token');
    if (request.path === '/user') return may('account') ? { status: 200, body: { id: holder.accountId, login: 'bellwether' } } : denied();
    const prefix = `/repos/${state.repository}`;
    if (request.path === prefix) return { status: 200, body: { id: 42, full_name: state.repository } };
    if (!request.path.startsWith(`${prefix}/`)) return respond(404, 'Not Found');
    const rest = request.path.slice(prefix.length);
    const who = { origin, accountId: holder.accountId };
    if (rest.startsWith('/hooks')) return may('webhook') ? hooks(request, rest, state, origin) : denied();
    if (rest.startsWith('/statuses/')) return may('status') ? statuses(request, rest, state) : denied();
    if (rest.startsWith('/issues/')) return may('comment') ? comments(request, rest, state, who) : denied();
    return rest === '/pulls' ? pulls(request, state, origin) : respond(404, 'Not Found');
  },
  push: (hook, { ref, before, after, repositoryUrl }) => {
    const repository = { id: 42, full_name: 'fleet/tills', clone_url: repositoryUrl, default_branch: 'main' };
    return delivery(hook, 'push', { ref, before, after, repository, pusher: { name: 'ada' }, commits: [] });
  },
};

/** The signature covers the form as it is sent. */
function delivery(hook: Hook, event: string, payload: unknown): { headers: Record<string, string>; body: string } {
  const json = JSON.stringify(payload);
  const body = hook.json ? json : new URLSearchParams({ payload: json }).toString();
  const signature = `sha256=${createHmac('sha256', hook.secret).update(body).digest('hex')}`;
  const headers = { 'x-github-event': event, 'x-github-delivery': randomUUID(), 'x-hub-signature-256': signature };
  return { headers: { 'content-type': hook.json ? 'application/json' : 'application/x-www-form-urlencoded', ...headers }, body };
}

const respond = (status: number, message: string, errors?: unknown[]): ForgeAnswer => ({
  status,
  body: { message, ...(errors === undefined ? {} : { errors }), documentation_url: 'https://docs.github.com/rest', status: String(status) },
});
const invalid = (errors: unknown[]): ForgeAnswer => respond(422, 'Validation Failed', errors);

function list<T>({ query, path }: ForgeRequest, all: readonly T[], view: (item: T) => unknown): ForgeAnswer {
  const [page, size] = [Number(query.get('page') ?? 1), Math.min(Number(query.get('per_page') ?? 30), 100)];
  const { items, hasNext } = pageOf(all, page, size);
  const link = `<https://api.github.invalid${path}?per_page=${size}&page=${page + 1}>; rel="next", <https://api.github.invalid${path}?page=9>; rel="last"`;
  return { status: 200, headers: hasNext ? { link } : {}, body: items.map(view) };
}

function hooks(request: ForgeRequest, rest: string, state: ForgeState, origin: string): ForgeAnswer {
  const { method, body } = request;
  const view = (hook: Hook) => ({
    type: 'Repository',
    id: hook.id,
    name: 'web',
    active: hook.active,
    events: eventsOf(hook),
    config: {
      url: hook.url,
      content_type: hook.json ? 'json' : 'form',
      insecure_ssl: hook.verifiesTls ? '0' : '1',
      ...(hook.secret === '' ? {} : { secret: '********' }),
    },
    last_response: { code: null, status: 'unused', message: null },
  });
  if (rest === '/hooks' && method === 'GET') return list(request, state.hooks, view);
  const write = (hook: Hook): void => {
    hook.active = body.active ?? hook.active;
    if (body.events !== undefined)
      Object.assign(hook, {
        push: body.events.includes('push'),
        tags: body.events.includes('push'),
        mergeRequests: body.events.includes('pull_request'),
      });
    if (body.config === undefined) return;
    // The edit replaces the whole configuration.
    hook.url = body.config.url ?? '';
    hook.secret = body.config.secret ?? '';
    hook.json = body.config.content_type === 'json';
    hook.verifiesTls = String(body.config.insecure_ssl ?? '0') === '0';
  };
  if (rest === '/hooks' && method === 'POST') {
    const url = body.config?.url;
    if (url === undefined) return invalid([{ resource: 'Hook', field: 'url', code: 'missing_field' }]);
    if (state.hooks.some((hook) => hook.url === url))
      return invalid([{ resource: 'Hook', code: 'custom', message: 'Hook already exists on this repository' }]);
    const hook = aHook(state, { url, mergeRequests: false });
    write(hook);
    return { status: 201, body: view(hook) };
  }
  const pinged = state.hooks.find(({ id }) => rest === `/hooks/${id}/pings` && method === 'POST');
  if (pinged !== undefined) {
    const repository = { id: 42, full_name: 'fleet/tills', clone_url: repositoryUrlOf(state, origin) };
    const ping = { zen: 'Keep it logically awesome.', hook_id: pinged.id, hook: { type: 'Repository' }, repository };
    return { status: 204, deliver: { hook: pinged, delivery: delivery(pinged, 'ping', ping) } };
  }
  const hook = state.hooks.find(({ id }) => rest === `/hooks/${id}`);
  if (hook === undefined) return respond(404, 'Not Found');
  if (method === 'DELETE') state.hooks.splice(state.hooks.indexOf(hook), 1);
  else write(hook);
  return method === 'DELETE' ? { status: 204 } : { status: 200, body: view(hook) };
}

function eventsOf({ push, mergeRequests }: Hook): string[] {
  return [...(push ? ['push'] : []), ...(mergeRequests ? ['pull_request'] : [])];
}

function statuses({ body }: ForgeRequest, rest: string, state: ForgeState): ForgeAnswer {
  const commit = rest.slice('/statuses/'.length);
  if (commit === '0'.repeat(40)) return respond(422, `No commit found for SHA: ${commit}`);
  const { state: wanted = '' } = body;
  if (!['error', 'failure', 'pending', 'success'].includes(wanted))
    return invalid([{ resource: 'Status', field: 'state', code: 'custom' }]);
  if ((body.description ?? '').length > 140)
    return invalid([
      { resource: 'Status', code: 'custom', field: 'description', message: 'description is too long (maximum is 140 characters)' },
    ]);
  // GitHub keeps all statuses; the last one of a context counts.
  const fresh = {
    commit,
    state: wanted,
    context: body.context ?? 'default',
    description: body.description ?? '',
    targetUrl: body.target_url ?? null,
  };
  state.statuses.push({ id: nextId(), ...fresh });
  return { status: 201, body: { id: 1, state: wanted, context: body.context } };
}

function comments(request: ForgeRequest, rest: string, state: ForgeState, who: { origin: string; accountId: number }): ForgeAnswer {
  const { method, body } = request;
  const view = (one: ForgeState['comments'][number]) => ({
    id: one.id,
    body: one.body,
    user: { id: one.authorId, login: 'u' },
    html_url: `${who.origin}/fleet/tills/pull/${one.mergeRequest}#issuecomment-${one.id}`,
  });
  if (method !== 'GET' && method !== 'DELETE' && (body.body ?? '').length > 65_536)
    return invalid([
      { resource: 'IssueComment', code: 'unprocessable', field: 'data', message: 'Body is too long (maximum is 65536 characters)' },
    ]);
  const [, number] = /^\/issues\/(\d+)\/comments$/.exec(rest) ?? [];
  if (number !== undefined) {
    if (!state.mergeRequests.some((one) => one.number === Number(number))) return respond(404, 'Not Found');
    if (method === 'GET')
      return list(
        request,
        state.comments.filter((one) => one.mergeRequest === Number(number)),
        view,
      );
    return { status: 201, body: view(aComment(state, { mergeRequest: Number(number), body: body.body ?? '', authorId: who.accountId })) };
  }
  const comment = state.comments.find((one) => rest === `/issues/comments/${one.id}`);
  if (comment === undefined) return respond(404, 'Not Found');
  // A token that may write to the repository may change all comments.
  if (method === 'DELETE') state.comments.splice(state.comments.indexOf(comment), 1);
  else comment.body = body.body ?? '';
  return method === 'DELETE' ? { status: 204 } : { status: 200, body: view(comment) };
}

function pulls(request: ForgeRequest, state: ForgeState, origin: string): ForgeAnswer {
  const wanted = state.mergeRequests.filter(({ open, target }) => open && target === request.query.get('base'));
  return list(request, wanted, ({ number, head, target, title }) => ({
    ...{ id: number + 5000, number, title, state: 'open', head: { sha: head, ref: 'topic' }, base: { ref: target } },
    html_url: `${origin}/fleet/tills/pull/${number}`,
  }));
}
