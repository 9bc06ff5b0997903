import { z } from 'zod';
import { isProblem } from '../../errors.ts';
import type { WantedHook } from '../forge.ts';
import type { ForgeApi, ForgeHost, HostHook, HostOperations, Repository } from '../host.ts';
import { forgeProblem } from '../problems.ts';
import { issueComments, mergeRequestOf, PullRequest, repositoryApi, repositoryId, setCommitStatus } from './github-style.ts';

const MAX_COMMENT_CHARACTERS = 65_536;
const MAX_DESCRIPTION_CHARACTERS = 140;

/** https://docs.github.com/rest/repos/webhooks, /rest/issues/comments, /rest/commits/statuses */
export const github: ForgeHost = {
  apiPath: '/api/v3',
  knownApis: { 'github.com': 'https://api.github.com', 'www.github.com': 'https://api.github.com' },
  pathSegments: { min: 2, max: 2 },
  pageSizeParameter: 'per_page',
  permissions: {
    webhook: 'scope "admin:repo_hook" (fine-grained: Webhooks, read and write)',
    comment: 'scope "repo" (fine-grained: Pull requests, read and write)',
    status: 'scope "repo:status" (fine-grained: Commit statuses, read and write)',
    merge_requests: 'scope "repo" (fine-grained: Pull requests, read)',
  },
  headers: (credentials) => ({
    accept: 'application/vnd.github+json',
    'x-github-api-version': '2022-11-28',
    authorization: `Bearer ${'token' in credentials ? credentials.token : credentials.password}`,
  }),
  open: (api, repository) => ({
    ...hooks(api, repository),
    ...issueComments(api, repository, MAX_COMMENT_CHARACTERS),
    setStatus: setCommitStatus(api, repository, MAX_DESCRIPTION_CHARACTERS),
    openMergeRequests: openPullRequests(api, repository),
    repositoryId: repositoryId(api, repository),
  }),
};

const EVENTS = ['push', 'pull_request'];

const Hook = z.object({
  id: z.number().int(),
  active: z.boolean(),
  events: z.array(z.string()),
  config: z.object({
    url: z.string().default(''),
    content_type: z.string().optional(),
    /** Old hooks have a number here. */
    insecure_ssl: z.union([z.string(), z.number()]).optional(),
  }),
});

type HookOperations = Pick<HostOperations, 'listHooks' | 'createHook' | 'updateHook' | 'removeHook' | 'hookSettingsUrl' | 'testHook'>;

function hooks(api: ForgeApi, repository: Repository): HookOperations {
  const path = `${repositoryApi(repository)}/hooks`;
  return {
    listHooks: async (wanted) => (await api.list(path, {}, Hook)).map((hook) => hookOf(hook, wanted)),
    createHook: async (wanted) => {
      const body = { name: 'web', ...hookBody(wanted) };
      return hookOf(await api.send('POST', path, body, Hook).catch(rethrowConflict), wanted);
    },
    updateHook: async (id, wanted) => hookOf(await api.send('PATCH', `${path}/${id}`, hookBody(wanted), Hook), wanted),
    removeHook: async (id) => void (await api.send('DELETE', `${path}/${id}`, undefined, z.unknown())),
    // A push test repeats the last push and sends nothing without one, while a ping is always sent.
    testHook: async (id) => void (await api.send('POST', `${path}/${id}/pings`, undefined, z.unknown())),
    hookSettingsUrl: (id) => `${repository.webUrl}/settings/hooks/${id}`,
  };
}

/** `config` replaces the stored one as a whole: without the secret in it, the hook would lose it. */
function hookBody({ url, secret }: WantedHook) {
  return { active: true, events: EVENTS, config: { url, secret, content_type: 'json', insecure_ssl: '0' } };
}

function hookOf({ id, active, events, config }: z.output<typeof Hook>, wanted: WantedHook): HostHook {
  const asWanted =
    config.url === wanted.url &&
    active &&
    config.content_type === 'json' &&
    String(config.insecure_ssl ?? '0') === '0' &&
    events.length === EVENTS.length &&
    EVENTS.every((event) => events.includes(event));
  return { id, url: config.url, asWanted, dead: false };
}

/** GitHub rejects a second hook of the same address with overlapping events. */
function rethrowConflict(error: unknown): never {
  if (!isProblem(error, 'forge_rejected') || !error.message.includes('Hook already exists')) throw error;
  throw forgeProblem('forge_conflict', error.message, { cause: error });
}

function openPullRequests(api: ForgeApi, repository: Repository): HostOperations['openMergeRequests'] {
  return async (targetBranch) => {
    const query = { state: 'open', base: targetBranch, sort: 'created', direction: 'asc' };
    return (await api.list(`${repositoryApi(repository)}/pulls`, query, PullRequest)).map(mergeRequestOf);
  };
}
