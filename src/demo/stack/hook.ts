import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { Problem } from '../../errors.ts';
import type { Push } from './git-host.ts';

/** The address for a repository's webhooks, and the secret that both sides know. */
export type HookTarget = { url: string; secret: string };

const PREFIX = 'whsec_';
const TIMEOUT_MS = 30_000;

/** A signing secret as Standard Webhooks and GitLab have it: 32 random bytes. */
export function mintHookSecret(): string {
  return PREFIX + randomBytes(32).toString('base64');
}

/**
 * Sends the webhook of a push as GitLab does, signed by Standard Webhooks. It is sent once: polling finds a push whose webhook was lost.
 * @throws Problem `hook_refused`
 */
export async function postPush(target: HookTarget, push: Push): Promise<void> {
  const response = await sendPush(target, push);
  await response.body?.cancel();
  if (!response.ok)
    throw new Problem(
      'hook_refused',
      `Cannot send the webhook of the push to "${push.repository}": the service answered ${response.status}, must be 202`,
    );
}

/** The request itself. `id` is the delivery's, stable across retries; `at` the signed time. */
export function sendPush(target: HookTarget, push: Push, { id = randomUUID() as string, at = new Date() } = {}): Promise<Response> {
  const timestamp = String(Math.floor(at.getTime() / 1000));
  const body = JSON.stringify(payloadOf(push));
  const key = Buffer.from(target.secret.slice(PREFIX.length), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return fetch(target.url, {
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
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
}

function payloadOf({ repository, ref, before, after, pusher }: Push) {
  return {
    object_kind: 'push',
    event_name: 'push',
    ...{ ref, before, after, checkout_sha: after },
    user_username: pusher,
    project_id: 1,
    project: { id: 1, name: repository, default_branch: 'main' },
    commits: [],
    total_commits_count: 1,
  };
}
