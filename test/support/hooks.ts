import { sendPush } from '../../src/demo/stack/hook.ts';

/** A GitLab signing token: 32 bytes behind `whsec_`. */
export const SIGNING_TOKEN = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

/** Posts a push as GitLab does. */
export function postGitLabPush(
  hookUrl: string,
  push: { ref?: string; before?: string; after: string },
  options: { secret?: string; id?: string; at?: Date } = {},
): Promise<Response> {
  const { ref = 'refs/heads/main', before = '0'.repeat(40), after } = push;
  const target = { url: hookUrl, secret: options.secret ?? SIGNING_TOKEN };
  return sendPush(target, { repository: 'config', ref, before, after, pusher: 'ada' }, { id: options.id, at: options.at });
}
