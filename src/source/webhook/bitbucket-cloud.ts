import { z } from 'zod';
import { CommitId, DisplayText, DisplayUrl, deliveryIdOf, FullRef, malformed, parseJson, parseShape, pokeOf, textOf } from './payload.ts';
import type { HookRequest, ParsedHook, RefChange, SecretKind, WebhookProvider } from './provider.ts';
import { checkSecret, verifyHubSignature } from './signature.ts';

const SECRET_KINDS: readonly SecretKind[] = ['hmac'];
/** Of one push; Git hosts send far fewer. */
const MAX_CHANGES = 10_000;

/** bitbucket.org. Above 256 KB it sends no hook at all: polling finds such a push. */
export const bitbucketCloud: WebhookProvider = {
  name: 'bitbucket-cloud',
  secretKinds: SECRET_KINDS,
  recognises: (headers) => Boolean(headers.get('x-event-key')) && Boolean(headers.get('x-request-uuid')),
  checkSecret: (secret) => checkSecret(secret, SECRET_KINDS),
  verify: verifyHubSignature,
  parse,
};

const Side = z.object({ type: z.string().max(100), name: z.string(), target: z.object({ hash: CommitId }) }).nullish();
const About = {
  repository: z
    .object({ links: z.object({ html: z.object({ href: DisplayUrl }) }) })
    .optional()
    .catch(undefined),
  actor: z.object({ nickname: DisplayText, display_name: DisplayText }).optional().catch(undefined),
};
const Push = z.object({ push: z.object({ changes: z.array(z.object({ new: Side, old: Side })).max(MAX_CHANGES) }), ...About });
const PullRequest = z.object({
  pullrequest: z.object({
    source: z.object({
      branch: z.object({ name: z.string() }),
      // Shortened to 12 digits here, in pushes whole.
      commit: z.object({ hash: CommitId.nullable().catch(null) }).nullish(),
    }),
  }),
  ...About,
});

const PULL_REQUESTS = ['pullrequest:created', 'pullrequest:updated', 'pullrequest:fulfilled', 'pullrequest:rejected'];

function parse(request: HookRequest): ParsedHook {
  const deliveryId = deliveryIdOf(request, ['x-request-uuid']);
  const event = request.headers.get('x-event-key');
  if (!event) throw malformed('X-Event-Key is missing');
  if (event === 'repo:push') {
    const body = parseShape(parseJson(textOf(request)), Push);
    return pokeOf(deliveryId, body.push.changes.map(changeOf), aboutOf(body));
  }
  if (!PULL_REQUESTS.includes(event)) return { kind: 'ignored', deliveryId, reason: `event "${event.slice(0, 100)}"` };
  const body = parseShape(parseJson(textOf(request)), PullRequest);
  const { branch, commit } = body.pullrequest.source;
  // There is no ref for the pull request itself.
  const ref = fullRef('heads', branch.name);
  return pokeOf(deliveryId, [{ event: 'merge_request', ref, before: null, after: commit?.hash ?? null }], aboutOf(body));
}

function changeOf(change: z.output<typeof Push>['push']['changes'][number]): RefChange {
  const side = change.new ?? change.old;
  if (side == null) throw malformed('a change has neither "new" nor "old"');
  const isTag = side.type === 'tag' || side.type === 'annotated_tag';
  return {
    event: isTag ? 'tag' : 'push',
    ref: fullRef(isTag ? 'tags' : 'heads', side.name),
    before: change.old?.target.hash ?? null,
    after: change.new?.target.hash ?? null,
  };
}

function fullRef(folder: 'heads' | 'tags', name: string): string {
  return parseShape(`refs/${folder}/${name}`, FullRef);
}

function aboutOf({ repository, actor }: Pick<z.output<typeof Push>, 'repository' | 'actor'>) {
  return { repositoryUrl: repository?.links.html.href, pusher: actor?.nickname ?? actor?.display_name };
}
