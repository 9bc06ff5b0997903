import { z } from 'zod';
import { isSigningToken } from '../../crypto/signature.ts';
import { isProblem } from '../../errors.ts';
import { type CommitState, type CommitStatus, shorten, type WantedHook } from '../forge.ts';
import { type ForgeApi, type ForgeHost, type HostHook, type HostOperations, type Repository, verifiesTls } from '../host.ts';
import { forgeProblem } from '../problems.ts';

/** https://docs.gitlab.com/api/project_webhooks/, /api/notes/, /api/commits/ */
export const gitlab: ForgeHost = {
  apiPath: '/api/v4',
  // Groups have up to 20 levels.
  pathSegments: { min: 2, max: 22 },
  pageSizeParameter: 'per_page',
  permissions: {
    webhook: 'scope "api" and the role Maintainer',
    comment: 'scope "api" and the role Reporter',
    status: 'scope "api" and the role Developer',
    merge_requests: 'scope "read_api" and the role Reporter',
  },
  headers: (credentials) => ({ authorization: `Bearer ${'token' in credentials ? credentials.token : credentials.password}` }),
  open: (api, repository) => ({ ...hooks(api, repository), ...notes(api, repository), ...commits(api, repository) }),
};

const projectOf = ({ path }: Repository): string => `/projects/${encodeURIComponent(path)}`;

const Hook = z.object({
  id: z.number().int(),
  url: z.string(),
  push_events: z.boolean(),
  tag_push_events: z.boolean(),
  merge_requests_events: z.boolean(),
  enable_ssl_verification: z.boolean(),
  push_events_branch_filter: z.string().nullish(),
  alert_status: z.string().nullish(),
  /** Since 19.0. */
  signing_token_present: z.boolean().nullish(),
});

type HookOperations = Pick<
  HostOperations,
  'listHooks' | 'createHook' | 'updateHook' | 'removeHook' | 'hookSettingsUrl' | 'testHook' | 'repositoryId'
>;

function hooks(api: ForgeApi, repository: Repository): HookOperations {
  const path = `${projectOf(repository)}/hooks`;
  const write = async (method: 'POST' | 'PUT', to: string, wanted: WantedHook): Promise<HostHook> => {
    const hook = await api.send(method, to, hookBody(wanted), Hook);
    if (isSigningToken(wanted.secret) && hook.signing_token_present !== true)
      throw forgeProblem(
        'forge_rejected',
        'Cannot install the webhook: this GitLab does not store signing tokens (19.0 and later do); set a webhook secret that does not begin with "whsec_"',
      );
    return hookOf(hook, wanted);
  };
  return {
    listHooks: async (wanted) => (await api.list(path, {}, Hook)).map((hook) => hookOf(hook, wanted)),
    createHook: (wanted) => write('POST', path, wanted),
    updateHook: (id, wanted) => write('PUT', `${path}/${id}`, wanted),
    removeHook: async (id) => void (await api.send('DELETE', `${path}/${id}`, undefined, z.unknown())),
    // The response follows the delivery; 422 means that the delivery failed. Since 16.11.
    testHook: async (id) => void (await api.send('POST', `${path}/${id}/test/push_events`, undefined, z.unknown())),
    repositoryId: async () => (await api.send('GET', projectOf(repository), undefined, Account)).id,
    hookSettingsUrl: (id) => `${repository.webUrl}/-/hooks/${id}/edit`,
  };
}

function hookBody(wanted: WantedHook) {
  return {
    url: wanted.url,
    push_events: true,
    tag_push_events: true,
    merge_requests_events: true,
    enable_ssl_verification: verifiesTls(wanted),
    push_events_branch_filter: '',
    ...(isSigningToken(wanted.secret) ? { signing_token: wanted.secret } : { token: wanted.secret }),
  };
}

function hookOf(hook: z.output<typeof Hook>, wanted: WantedHook): HostHook {
  const asWanted =
    hook.url === wanted.url &&
    hook.push_events &&
    hook.tag_push_events &&
    hook.merge_requests_events &&
    hook.enable_ssl_verification === verifiesTls(wanted) &&
    !hook.push_events_branch_filter;
  // No edit revives a hook that GitLab disabled after failures. No edit removes a signing token either, and the receiver verifies by it.
  const dead =
    (hook.alert_status ?? 'executable') !== 'executable' || (hook.signing_token_present === true && !isSigningToken(wanted.secret));
  return { id: hook.id, url: hook.url, asWanted, dead };
}

const Account = z.object({ id: z.number().int() });
const Note = z.object({ id: z.number().int(), body: z.string(), author: Account.nullish(), system: z.boolean() });

type CommentOperations = Pick<
  HostOperations,
  'accountId' | 'maxCommentCharacters' | 'listComments' | 'createComment' | 'updateComment' | 'removeComment'
>;

function notes(api: ForgeApi, repository: Repository): CommentOperations {
  const pathOf = (mergeRequest: number) => `${projectOf(repository)}/merge_requests/${mergeRequest}/notes`;
  const comment = (mergeRequest: number, { id, body, author }: z.output<typeof Note>) => ({
    id,
    body,
    authorId: author?.id ?? null,
    url: `${repository.webUrl}/-/merge_requests/${mergeRequest}#note_${id}`,
  });
  return {
    maxCommentCharacters: 1_000_000,
    accountId: async () => (await api.send('GET', '/user', undefined, Account)).id,
    listComments: async (mergeRequest) => {
      const all = await api.list(pathOf(mergeRequest), { sort: 'asc', order_by: 'created_at' }, Note);
      return all.filter((note) => !note.system).map((note) => comment(mergeRequest, note));
    },
    createComment: async (mergeRequest, body) => comment(mergeRequest, await api.send('POST', pathOf(mergeRequest), { body }, Note)),
    updateComment: async (mergeRequest, id, body) =>
      comment(mergeRequest, await api.send('PUT', `${pathOf(mergeRequest)}/${id}`, { body }, Note)),
    removeComment: async (mergeRequest, id) => void (await api.send('DELETE', `${pathOf(mergeRequest)}/${id}`, undefined, z.unknown())),
  };
}

const STATES: Record<CommitState, string> = {
  pending: 'pending',
  running: 'running',
  success: 'success',
  failure: 'failed',
  error: 'failed',
};
/** The limit of the columns in GitLab's database. */
const MAX_STATUS_CHARACTERS = 255;

const MergeRequest = z
  .object({ iid: z.number().int(), sha: z.string(), target_branch: z.string(), title: z.string(), web_url: z.string() })
  .transform(({ iid, ...rest }) => ({ id: iid, ...rest }));

function commits(api: ForgeApi, repository: Repository): Pick<HostOperations, 'setStatus' | 'openMergeRequests'> {
  const project = projectOf(repository);
  return {
    setStatus: async (commit, name, status) => {
      const body = statusBody(name, status);
      await api.send('POST', `${project}/statuses/${commit}`, body, z.unknown()).catch((error: unknown) => {
        if (!isAlreadyThere(error)) throw error;
      });
    },
    openMergeRequests: async (targetBranch) => {
      const query = { state: 'opened', target_branch: targetBranch, order_by: 'created_at', sort: 'asc' };
      const found = await api.list(`${project}/merge_requests`, query, MergeRequest);
      return found.map(({ id, sha, title, web_url }) => ({
        number: id,
        head: sha,
        headRef: `refs/merge-requests/${id}/head`,
        title,
        url: web_url,
      }));
    },
  };
}

function statusBody(name: string, { state, description, targetUrl }: CommitStatus) {
  return {
    state: STATES[state],
    name: shorten(name, MAX_STATUS_CHARACTERS),
    description: shorten(description, MAX_STATUS_CHARACTERS),
    ...(targetUrl !== undefined && targetUrl.length <= MAX_STATUS_CHARACTERS ? { target_url: targetUrl } : {}),
  };
}

/** GitLab models a status as a job, which cannot enter the state pending or running twice. */
function isAlreadyThere(error: unknown): boolean {
  return (
    isProblem(error, 'forge_rejected') && /Cannot transition status via :(?:enqueue|run) from :(?:pending|running)/.test(error.message)
  );
}
