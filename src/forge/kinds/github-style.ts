import { z } from 'zod';
import { type CommitState, type CommitStatus, type MergeRequest, shorten } from '../forge.ts';
import type { ForgeApi, HostOperations, Repository } from '../host.ts';

/** The parts that the APIs of GitHub and Gitea share. */

export function repositoryApi({ path }: Repository): string {
  return `/repos/${path.split('/').map(encodeURIComponent).join('/')}`;
}

const Identified = z.object({ id: z.number().int() });

export function repositoryId(api: ForgeApi, repository: Repository): HostOperations['repositoryId'] {
  return async () => (await api.send('GET', repositoryApi(repository), undefined, Identified)).id;
}

const Account = z.object({ id: z.number().int() });
const Comment = z
  .object({ id: z.number().int(), body: z.string().nullable(), user: Account.nullish(), html_url: z.string() })
  .transform(({ id, body, user, html_url: url }) => ({ id, body: body ?? '', authorId: user?.id ?? null, url }));

type CommentOperations = Pick<
  HostOperations,
  'accountId' | 'maxCommentCharacters' | 'listComments' | 'createComment' | 'updateComment' | 'removeComment'
>;

/** For comments, pull requests are issues. */
export function issueComments(api: ForgeApi, repository: Repository, maxCommentCharacters: number): CommentOperations {
  const path = repositoryApi(repository);
  const pathOf = (mergeRequest: number) => `${path}/issues/${mergeRequest}/comments`;
  return {
    maxCommentCharacters,
    accountId: async () => (await api.send('GET', '/user', undefined, Account)).id,
    listComments: (mergeRequest) => api.list(pathOf(mergeRequest), {}, Comment),
    createComment: (mergeRequest, body) => api.send('POST', pathOf(mergeRequest), { body }, Comment),
    updateComment: (_, id, body) => api.send('PATCH', `${path}/issues/comments/${id}`, { body }, Comment),
    removeComment: async (_, id) => void (await api.send('DELETE', `${path}/issues/comments/${id}`, undefined, z.unknown())),
  };
}

const STATES: Record<CommitState, string> = {
  pending: 'pending',
  running: 'pending',
  success: 'success',
  failure: 'failure',
  error: 'error',
};
const MAX_CONTEXT_CHARACTERS = 255;

export function setCommitStatus(api: ForgeApi, repository: Repository, maxDescriptionCharacters: number): HostOperations['setStatus'] {
  return async (commit, name, { state, description, targetUrl }: CommitStatus) => {
    const body = {
      state: STATES[state],
      context: shorten(name, MAX_CONTEXT_CHARACTERS),
      description: shorten(description, maxDescriptionCharacters),
      ...(targetUrl === undefined ? {} : { target_url: targetUrl }),
    };
    await api.send('POST', `${repositoryApi(repository)}/statuses/${commit}`, body, z.unknown());
  };
}

/** `id` is its number, which is unique within one repository. */
export const PullRequest = z
  .object({
    number: z.number().int(),
    head: z.object({ sha: z.string() }),
    base: z.object({ ref: z.string() }),
    title: z.string(),
    html_url: z.string(),
  })
  .transform((request) => ({ id: request.number, ...request }));

export function mergeRequestOf({ number, head, title, html_url: url }: z.output<typeof PullRequest>): MergeRequest {
  return { number, head: head.sha, headRef: `refs/pull/${number}/head`, title, url };
}
