import { z } from 'zod';
import { checkSecret, type HookRequest, type SecretKind, verifyHubSignature } from '../../crypto/signature.ts';
import {
  CommitId,
  changeHookOf,
  changesOf,
  DisplayText,
  FullRef,
  ignored,
  keyOf,
  parseJson,
  part,
  present,
  quoted,
  RepositoryId,
  RepositoryUrl,
  read,
  textOf,
  Word,
} from './payload.ts';
import type { ParsedHook, RefChange, WebhookProvider } from './provider.ts';

const SECRET_KINDS: readonly SecretKind[] = ['hmac'];
/** bitbucket.org. It sends no hook above 256 KB; the next poll finds such a push. */
export const bitbucketCloud: WebhookProvider = {
  name: 'bitbucket-cloud',
  secretKinds: SECRET_KINDS,
  recognises: (headers) => Boolean(headers.get('x-event-key')) && Boolean(headers.get('x-request-uuid')),
  checkSecret: (secret) => checkSecret(secret, SECRET_KINDS),
  verify: verifyHubSignature,
  parse,
};

const Side = z
  .object({ type: Word, name: Word, target: part({ hash: CommitId }) })
  .nullish()
  .catch(null);
const About = {
  repository: part({ uuid: RepositoryId, full_name: Word, links: part({ html: part({ href: RepositoryUrl }) }) }),
  actor: part({ nickname: DisplayText, display_name: DisplayText }),
};
const Push = part({ push: part({ changes: changesOf(z.object({ new: Side, old: Side })) }), ...About });
// Pull request events shorten the commit to 12 digits; pushes have all of them.
const PullRequest = part({
  pullrequest: part({ source: part({ branch: part({ name: Word }), commit: part({ hash: CommitId }) }) }),
  ...About,
});

const PULL_REQUESTS = ['pullrequest:created', 'pullrequest:updated', 'pullrequest:fulfilled', 'pullrequest:rejected'];

function parse(request: HookRequest): ParsedHook {
  const key = keyOf(request, ['x-request-uuid']);
  const event = request.headers.get('x-event-key') ?? undefined;
  if (event === 'diagnostics:ping') return { kind: 'ping', ...key };
  const body = parseJson(textOf(request));
  if (event === 'repo:push') {
    const push = read(body, Push);
    const changes = push.push.changes?.map(changeOf).filter((change) => change !== null) ?? null;
    return changeHookOf(key, changes, aboutOf(push));
  }
  if (event === undefined || !PULL_REQUESTS.includes(event))
    return ignored(key, event === undefined ? 'header X-Event-Key is missing' : `event ${quoted(event)}`);
  const { pullrequest, ...about } = read(body, PullRequest);
  const { branch, commit } = pullrequest.source;
  // Bitbucket Cloud publishes no ref for a pull request.
  const ref = fullRef('heads', branch.name);
  return { kind: 'change', ...key, event: 'merge_request', ref, before: null, after: commit.hash, ...aboutOf(about) };
}

/** Returns null if neither side of the change is readable. */
function changeOf({ new: after, old: before }: { new?: z.output<typeof Side>; old?: z.output<typeof Side> }): RefChange | null {
  const side = after ?? before;
  if (side == null) return null;
  const isTag = side.type === 'tag' || side.type === 'annotated_tag';
  const ref = fullRef(isTag ? 'tags' : 'heads', side.name);
  return { event: isTag ? 'tag' : 'push', ref, before: before?.target.hash ?? null, after: after?.target.hash ?? null };
}

function fullRef(folder: 'heads' | 'tags', name: string | undefined): string | null {
  return name === undefined ? null : FullRef.parse(`refs/${folder}/${name}`);
}

function aboutOf({ repository, actor }: Pick<z.output<typeof Push>, 'repository' | 'actor'>) {
  const { uuid: id, full_name: path, links } = repository;
  return { repository: { id, path, urls: present([links.html.href]) }, pusher: actor.nickname ?? actor.display_name };
}
