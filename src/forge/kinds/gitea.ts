import { z } from 'zod';
import type { WantedHook } from '../forge.ts';
import type { ForgeApi, ForgeHost, HostHook, HostOperations, Repository } from '../host.ts';
import { issueComments, mergeRequestOf, PullRequest, repositoryApi, repositoryId, setCommitStatus } from './github-style.ts';

/** Its databases store more; longer comments are hard to read. */
const MAX_COMMENT_CHARACTERS = 65_536;
const MAX_DESCRIPTION_CHARACTERS = 255;

/** Gitea and Forgejo, which shares the API: https://docs.gitea.com/api/, https://codeberg.org/api/swagger */
export const gitea: ForgeHost = {
  apiPath: '/api/v1',
  pathSegments: { min: 2, max: 2 },
  pageSizeParameter: 'limit',
  permissions: {
    webhook: 'scope "write:repository", of an account that administers the repository',
    comment: 'scope "write:issue"',
    status: 'scope "write:repository"',
    merge_requests: 'scope "read:repository"',
  },
  headers: (credentials) => ({
    authorization:
      'token' in credentials
        ? `token ${credentials.token}`
        : `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`,
  }),
  open: (api, repository) => ({
    ...hooks(api, repository),
    ...issueComments(api, repository, MAX_COMMENT_CHARACTERS),
    setStatus: setCommitStatus(api, repository, MAX_DESCRIPTION_CHARACTERS),
    openMergeRequests: openPullRequests(api, repository),
    repositoryId: repositoryId(api, repository),
  }),
};

/**
 * A deleted or renamed branch is sent as `delete` and `create`, never as `push`. `pull_request_only`: opened, closed and so on; plain
 * `pull_request` would add labels, assignees and reviews.
 */
const EVENTS = ['create', 'delete', 'push', 'pull_request_only', 'pull_request_sync'];
/** The same events as the host lists them. */
const SHOWN_EVENTS = ['create', 'delete', 'push', 'pull_request', 'pull_request_sync'];

const Hook = z.object({
  id: z.number().int(),
  type: z.string(),
  active: z.boolean(),
  events: z.array(z.string()).nullable(),
  branch_filter: z.string().nullish(),
  config: z.object({ url: z.string().default(''), content_type: z.string().optional() }),
});

type HookOperations = Pick<
  HostOperations,
  'listHooks' | 'createHook' | 'updateHook' | 'removeHook' | 'hookSettingsUrl' | 'testHook' | 'keepsSecret'
>;

function hooks(api: ForgeApi, repository: Repository): HookOperations {
  const path = `${repositoryApi(repository)}/hooks`;
  return {
    listHooks: async (wanted) => (await api.list(path, {}, Hook)).map((hook) => hookOf(hook, wanted)),
    createHook: async (wanted) => hookOf(await api.send('POST', path, { type: 'gitea', ...hookBody(wanted) }, Hook), wanted),
    // An edit changes everything but the secret (measured with Gitea 1.25 and Forgejo 1.21), so that only a correct hook is kept.
    keepsSecret: true,
    updateHook: async (id, wanted) => hookOf(await api.send('GET', `${path}/${id}`, undefined, Hook), wanted),
    testHook: async (id) => void (await api.send('POST', `${path}/${id}/tests`, undefined, z.unknown())),
    removeHook: async (id) => void (await api.send('DELETE', `${path}/${id}`, undefined, z.unknown())),
    hookSettingsUrl: (id) => `${repository.webUrl}/settings/hooks/${id}`,
  };
}

/** The host verifies certificates unless its administrator turned that off for all hooks. */
function hookBody({ url, secret }: WantedHook) {
  return { active: true, events: EVENTS, branch_filter: '*', config: { url, secret, content_type: 'json' } };
}

function hookOf({ id, type, active, events, branch_filter: filter, config }: z.output<typeof Hook>, wanted: WantedHook): HostHook {
  const asWanted =
    config.url === wanted.url &&
    active &&
    config.content_type === 'json' &&
    ['', '*'].includes(filter ?? '') &&
    SHOWN_EVENTS.every((event) => events?.includes(event));
  // The type selects the payload's format (slack, discord, …), and no edit changes it.
  return { id, url: config.url, asWanted, dead: !['gitea', 'forgejo', 'gogs'].includes(type) };
}

function openPullRequests(api: ForgeApi, repository: Repository): HostOperations['openMergeRequests'] {
  return async (targetBranch) => {
    const query = { state: 'open', sort: 'oldest', base_branch: targetBranch };
    const found = await api.list(`${repositoryApi(repository)}/pulls`, query, PullRequest);
    // Older versions do not know `base_branch`.
    return found.filter(({ base }) => base.ref === targetBranch).map(mergeRequestOf);
  };
}
