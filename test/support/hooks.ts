import { createHmac, randomUUID } from 'node:crypto';

/** A GitLab signing token: 32 bytes behind `whsec_`. */
export const SIGNING_TOKEN = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

export type Push = { ref?: string; before?: string; after: string };

/** Posts a push as GitLab does, signed by Standard Webhooks. `id` is the delivery's, stable across retries. */
export async function postGitLabPush(
  hookUrl: string,
  push: Push,
  options: { secret?: string; id?: string; at?: Date } = {},
): Promise<Response> {
  const id = options.id ?? randomUUID();
  const timestamp = String(Math.floor((options.at ?? new Date()).getTime() / 1000));
  const { ref = 'refs/heads/main', before = '0'.repeat(40), after } = push;
  const body = JSON.stringify({
    object_kind: 'push',
    event_name: 'push',
    ...{ ref, before, after, checkout_sha: after },
    user_username: 'ada',
    project_id: 1,
    project: { id: 1, path_with_namespace: 'fleet/config', git_http_url: 'http://gitlab.test/fleet/config.git', default_branch: 'main' },
    commits: [],
    total_commits_count: 1,
  });
  const key = Buffer.from((options.secret ?? SIGNING_TOKEN).replace('whsec_', ''), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return fetch(hookUrl, {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'x-gitlab-event': 'Push Hook',
      'idempotency-key': id,
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${signature}`,
    },
  });
}
