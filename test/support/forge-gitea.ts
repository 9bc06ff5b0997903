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

/** Gitea (and Forgejo): routers/api/v1 and services/webhook of its source. */
const serverOf = (push: ForgeKindServer['push']): ForgeKindServer => ({
  apiPath: '/api/v1',
  answer: (request, state, origin) => {
    const holder = holderOf(request, state);
    if (holder === undefined) return respond(401, 'invalid username, password or token');
    const may = (what: string) => holder.may.includes(what);
    const denied = (scope: string) =>
      respond(403, `token does not have at least one of required scope(s), required=[${scope}], token scope=read:misc`);
    if (request.path === '/user')
      return may('account') ? { status: 200, body: { id: holder.accountId, login: 'bellwether' } } : denied('read:user');
    const prefix = `/repos/${state.repository}`;
    if (request.path === prefix) return { status: 200, body: { id: 42, full_name: state.repository } };
    if (!request.path.startsWith(`${prefix}/`)) return notFound();
    const rest = request.path.slice(prefix.length);
    const who = { origin, accountId: holder.accountId };
    if (rest.startsWith('/hooks')) return may('webhook') ? hooks(request, rest, state, { origin, push }) : denied('write:repository');
    if (rest.startsWith('/statuses/')) return may('status') ? statuses(request, rest, state) : denied('write:repository');
    if (rest.startsWith('/issues/')) return may('comment') ? comments(request, rest, state, who) : denied('write:issue');
    return rest === '/pulls' ? pulls(request, state, origin) : notFound();
  },
  push,
});

function push(hook: Hook, { ref, before, after, repositoryUrl }: Push): { headers: Record<string, string>; body: string } {
  const repository = { id: 42, full_name: 'fleet/tills', clone_url: repositoryUrl, default_branch: 'main' };
  const json = JSON.stringify({ ref, before, after, repository, pusher: { login: 'ada' }, commits: [] });
  const signature = hook.secret === '' ? '' : createHmac('sha256', hook.secret).update(json).digest('hex');
  const id = randomUUID();
  const copies = ['gitea', 'gogs', 'github'].flatMap((name) => [
    [`x-${name}-event`, 'push'],
    [`x-${name}-delivery`, id],
  ]);
  const signatures = { 'x-gitea-signature': signature, 'x-gogs-signature': signature, 'x-hub-signature-256': `sha256=${signature}` };
  const headers = { ...Object.fromEntries(copies), ...signatures };
  if (hook.json) return { headers: { 'content-type': 'application/json', ...headers }, body: json };
  // The signature still covers the JSON.
  return {
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams({ payload: json }).toString(),
  };
}

export const giteaServer = serverOf(push);

/** Sends Gitea's headers, and the same ones under its own name. */
export const forgejoServer = serverOf((hook, told) => {
  const { headers, body } = push(hook, told);
  const own = Object.entries(headers).filter(([name]) => name.startsWith('x-gitea-'));
  return { headers: { ...headers, ...Object.fromEntries(own.map(([name, value]) => [name.replace('gitea', 'forgejo'), value])) }, body };
});

const respond = (status: number, message: string): ForgeAnswer => ({ status, body: { message, url: 'http://gitea.internal/api/swagger' } });
const notFound = (): ForgeAnswer => ({
  status: 404,
  body: { errors: null, message: "The target couldn't be found.", url: 'http://gitea.internal/api/swagger' },
});

/** A plain token, or the password of any user. */
function holderOf({ headers }: ForgeRequest, state: ForgeState): ForgeState['tokens'][string] | undefined {
  const [, scheme, value = ''] = /^(token|Bearer|Basic) (.+)$/.exec(headers.authorization ?? '') ?? [];
  const token = scheme === 'Basic' ? Buffer.from(value, 'base64').toString().split(':').slice(1).join(':') : value;
  return Object.hasOwn(state.tokens, token) ? state.tokens[token] : undefined;
}

/** Most lists have only their length in a header. A page has at most 50 items. */
function list<T>({ query }: ForgeRequest, all: readonly T[], view: (item: T) => unknown): ForgeAnswer {
  const [page, size] = [Number(query.get('page') ?? 1), Math.min(Number(query.get('limit') ?? 30), 50)];
  return { status: 200, headers: { 'x-total-count': String(all.length) }, body: pageOf(all, page, size).items.map(view) };
}

type Sender = { origin: string; push: ForgeKindServer['push'] };

function hooks(request: ForgeRequest, rest: string, state: ForgeState, { origin, push }: Sender): ForgeAnswer {
  const { method, body } = request;
  const view = (hook: Hook) => ({
    id: hook.id,
    type: hook.type,
    active: hook.active,
    events: eventsOf(hook),
    branch_filter: hook.branchFilter,
    authorization_header: '',
    // Never the secret.
    config: { url: hook.url, content_type: hook.json ? 'json' : 'form' },
  });
  if (rest === '/hooks' && method === 'GET') return list(request, state.hooks, view);
  const write = (hook: Hook): void => {
    // An edit without events resets them to `push`.
    const events: string[] = body.events?.length ? body.events : ['push'];
    const opens = events.includes('pull_request') || events.includes('pull_request_only');
    const refs = events.includes('create') && events.includes('delete');
    const syncs = events.includes('pull_request') || events.includes('pull_request_sync');
    Object.assign(hook, { push: events.includes('push'), tags: events.includes('push'), mergeRequests: opens && syncs, refs });
    hook.active = body.active ?? hook.active;
    hook.branchFilter = body.branch_filter ?? '';
    hook.url = body.config?.url ?? hook.url;
    hook.json = (body.config?.content_type ?? (hook.json ? 'json' : 'form')) === 'json';
  };
  if (rest === '/hooks' && method === 'POST') {
    const { type = '', config = {} } = body;
    if (!['gitea', 'forgejo', 'gogs', 'slack', 'discord'].includes(type)) return respond(422, `Invalid hook type: ${type}`);
    for (const name of ['url', 'content_type'] as const)
      if (config[name] === undefined) return respond(422, `Missing config option: ${name}`);
    const hook = aHook(state, { url: config.url ?? '', type, active: false, secret: config.secret ?? '' });
    write(hook);
    return { status: 201, body: view(hook) };
  }
  const tested = state.hooks.find(({ id }) => rest === `/hooks/${id}/tests` && method === 'POST');
  if (tested !== undefined) {
    const { headCommit: commit } = state;
    // Gitea sends nothing for a repository without a commit. The delivery waits in a queue.
    if (commit === null) return { status: 204 };
    const delivery = { ref: 'refs/heads/main', before: commit, after: commit, repositoryUrl: repositoryUrlOf(state, origin) };
    return { status: 204, deliver: { hook: tested, delivery: push(tested, delivery) } };
  }
  const hook = state.hooks.find(({ id }) => rest === `/hooks/${id}`);
  if (hook === undefined) return notFound();
  if (method === 'GET') return { status: 200, body: view(hook) };
  // The edit writes all fields except the secret.
  if (method === 'DELETE') state.hooks.splice(state.hooks.indexOf(hook), 1);
  else write(hook);
  return method === 'DELETE' ? { status: 204 } : { status: 200, body: view(hook) };
}

function eventsOf({ push, mergeRequests, refs }: Hook): string[] {
  return [
    ...(refs ? ['create', 'delete'] : []),
    ...(push ? ['push'] : []),
    ...(mergeRequests ? ['pull_request', 'pull_request_sync'] : []),
  ];
}

function statuses({ body }: ForgeRequest, rest: string, state: ForgeState): ForgeAnswer {
  const commit = rest.slice('/statuses/'.length);
  if (commit === '0'.repeat(40)) return notFound();
  const { state: wanted = '' } = body;
  if (!['pending', 'success', 'error', 'failure', 'warning'].includes(wanted)) return respond(422, 'invalid state');
  const fresh = {
    commit,
    state: wanted,
    context: body.context ?? '',
    description: body.description ?? '',
    targetUrl: body.target_url ?? null,
  };
  state.statuses.push({ id: nextId(), ...fresh });
  return { status: 201, body: { id: 1, status: wanted, context: body.context } };
}

function comments(
  { method, body }: ForgeRequest,
  rest: string,
  state: ForgeState,
  who: { origin: string; accountId: number },
): ForgeAnswer {
  const view = (one: ForgeState['comments'][number]) => ({
    id: one.id,
    body: one.body,
    user: { id: one.authorId, login: 'u' },
    html_url: `${who.origin}/fleet/tills/pulls/${one.mergeRequest}#issuecomment-${one.id}`,
  });
  const [, number] = /^\/issues\/(\d+)\/comments$/.exec(rest) ?? [];
  if (number !== undefined) {
    if (!state.mergeRequests.some((one) => one.number === Number(number))) return notFound();
    const all = state.comments.filter((one) => one.mergeRequest === Number(number));
    // Gitea ignores parameters of pages here.
    if (method === 'GET') return { status: 200, headers: { 'x-total-count': String(all.length) }, body: all.map(view) };
    return { status: 201, body: view(aComment(state, { mergeRequest: Number(number), body: body.body ?? '', authorId: who.accountId })) };
  }
  const comment = state.comments.find((one) => rest === `/issues/comments/${one.id}`);
  if (comment === undefined) return notFound();
  if (method === 'DELETE') state.comments.splice(state.comments.indexOf(comment), 1);
  else comment.body = body.body ?? '';
  return method === 'DELETE' ? { status: 204 } : { status: 200, body: view(comment) };
}

/** An old version: it does not know `base_branch`. */
function pulls(request: ForgeRequest, state: ForgeState, origin: string): ForgeAnswer {
  return list(
    request,
    state.mergeRequests.filter(({ open }) => open),
    ({ number, head, target, title }) => ({
      ...{ id: number + 5000, number, title, state: 'open', head: { sha: head, ref: 'topic' }, base: { ref: target } },
      html_url: `${origin}/fleet/tills/pulls/${number}`,
    }),
  );
}
