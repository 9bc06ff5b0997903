import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { HookRequest } from '../../crypto/signature.ts';
import { Problem } from '../../errors.ts';
import { isTooDeep, MAX_JSON_DEPTH } from '../../wire/text/json.ts';
import { storableText } from '../../wire/text/text.ts';
import type { ChangeHook, DeliveryKey, HookRepository, Ignored, ParsedHook, RefChange } from './provider.ts';

const MAX_REF_LENGTH = 1024;
const MAX_URL_LENGTH = 2048;
/** Limit of changes in one push; Git hosts send far fewer. If a push has more, none is read and the source is checked. */
const MAX_CHANGES = 10_000;

// No field may make a genuine event fail: a missing or malformed field is left out.

/** A full ref (`refs/…`) that `git check-ref-format` allows; else null. */
export const FullRef = z.string().max(MAX_REF_LENGTH).refine(isFullRef).nullable().catch(null);

/** A ref in its full or short form; else null. */
export const AnyRef = z
  .string()
  .max(MAX_REF_LENGTH)
  .refine((ref) => (ref.startsWith('refs/') ? isFullRef(ref) : !ref.startsWith('-') && isFullRef(`refs/heads/${ref}`)))
  .nullable()
  .catch(null);

/** SHA-1 or SHA-256, lower-case hex; else null. The all-zero id stands for "no commit" and becomes null, too. */
export const CommitId = z
  .string()
  .regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/)
  .transform((oid) => (/^0+$/.test(oid) ? null : oid))
  .nullable()
  .catch(null);

/** A number as in the URLs of merge requests. */
export const Numbered = z.number().int().positive().optional().catch(undefined);
export const Word = z.string().max(MAX_REF_LENGTH).optional().catch(undefined);
const MAX_DISPLAY_CHARACTERS = 200;
/** The beginning of a text, without control characters: the database cannot store all of them. */
export const DisplayText = z
  .string()
  .min(1)
  .transform((text) => {
    const shown = [...text.slice(0, 2 * MAX_DISPLAY_CHARACTERS)].slice(0, MAX_DISPLAY_CHARACTERS).join('');
    return storableText(shown).replace(/\p{Cc}/gu, ' ');
  })
  .optional()
  .catch(undefined);
export const DisplayUrl = z.string().max(MAX_URL_LENGTH).refine(isPlainHttpUrl).optional().catch(undefined);
/** A repository's URL for comparison only. It may contain a user or be an SSH address. */
export const RepositoryUrl = z.string().max(MAX_URL_LENGTH).optional().catch(undefined);
/** Numbers and texts alike. */
export const RepositoryId = z
  .union([z.number().int(), z.string().regex(/^[!-~]{1,100}$/)])
  .transform(String)
  .optional()
  .catch(undefined);

/** An object whose fields may all be missing; anything else counts as an empty one. */
export function part<Shape extends z.ZodRawShape>(shape: Shape) {
  const object = z.object(shape);
  return object.catch(() => object.parse({}));
}

/** Reads the fields of the shape from a body. Never throws, since every field of a shape may be missing. */
export function read<T>(body: unknown, shape: z.ZodType<T>): T {
  return shape.parse(body);
}

/** null: the host does not list them, or lists too many. */
export function changesOf<Shape extends z.ZodType>(change: Shape) {
  return z.array(change).max(MAX_CHANGES).nullable().catch(null);
}

/** @throws Problem `hook_malformed` */
export function textOf(request: HookRequest): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(request.rawBody);
  } catch (cause) {
    throw malformed('the body is not UTF-8', cause);
  }
}

/** @throws Problem `hook_malformed` */
export function parseJson(text: string): unknown {
  if (isTooDeep(text)) throw malformed(`its JSON is nested more than ${MAX_JSON_DEPTH} levels deep`);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw malformed('the body is not JSON', cause);
  }
}

/** Returns the id in the first of these headers that has one, else a digest of the body. It names the delivery in `hook_deliveries`. */
export function keyOf(request: HookRequest, headerNames: readonly string[]): DeliveryKey {
  for (const name of headerNames) {
    const id = request.headers.get(name);
    if (id && /^[!-~]{1,200}$/.test(id)) return { deliveryId: id, repeats: 'always' };
  }
  return { deliveryId: `sha256:${createHash('sha256').update(request.rawBody).digest('hex')}`, repeats: 'briefly' };
}

/** Reads JSON, or a form (by its content type) with the JSON in its field `payload`. @throws Problem `hook_malformed` */
export function bodyOf(request: HookRequest): unknown {
  const text = textOf(request);
  if (!isForm(request)) return parseJson(text);
  const payload = payloadOf(text);
  if (payload === null) throw malformed('the form must have one field "payload"');
  return parseJson(payload);
}

export function isForm({ headers }: HookRequest): boolean {
  const [mediaType] = (headers.get('content-type') ?? '').split(';');
  return mediaType?.trim().toLowerCase() === 'application/x-www-form-urlencoded';
}

/** Returns the JSON in a form; null: the form has none, or several. */
export function payloadOf(form: string): string | null {
  const payloads = new URLSearchParams(form).getAll('payload');
  return payloads.length === 1 ? (payloads[0] ?? null) : null;
}

export function eventOf(ref: string | null): 'push' | 'tag' {
  return ref?.startsWith('refs/tags/') ? 'tag' : 'push';
}

/** Parts of a pull request as GitHub and Gitea send them. */
export const PullRequestShape = part({
  head: part({ sha: CommitId }),
  base: part({ ref: Word }),
  title: DisplayText,
  html_url: DisplayUrl,
});

/** Returns {} if the host does not name the branch. */
export function pullRequestHint(
  action: string,
  number: number,
  { base, title, html_url: url }: z.output<typeof PullRequestShape>,
): Pick<RefChange, 'mergeRequest'> {
  if (!isBranch(base.ref)) return {};
  return {
    mergeRequest: { number, state: action === 'closed' ? 'closed' : 'open', target: base.ref, title: title ?? null, url: url ?? null },
  };
}

/** A repository as GitHub and Gitea describe it. */
export const GitHubRepository = part({
  id: RepositoryId,
  full_name: Word,
  clone_url: RepositoryUrl,
  html_url: RepositoryUrl,
  ssh_url: RepositoryUrl,
  default_branch: Word,
});

export function repositoryOf(repository: z.output<typeof GitHubRepository>): HookRepository {
  const { id, full_name: path, clone_url, html_url, ssh_url, default_branch } = repository;
  return { id, path, urls: present([clone_url, html_url, ssh_url]), defaultBranch: branchRef(default_branch) };
}

/** `create` and `delete` of GitHub and Gitea. */
export const RefEvent = part({
  ref: AnyRef,
  ref_type: Word,
  sha: CommitId,
  sender: part({ login: DisplayText }),
  repository: GitHubRepository,
});

/** Reads the event of a branch or tag that was created or deleted. For a new tag, the host sends the commit or the tag object. */
export function refEvent(key: DeliveryKey, event: 'create' | 'delete', body: z.output<typeof RefEvent>): ParsedHook {
  const { ref_type: type, sha, repository, sender } = body;
  if (body.ref === null || (type !== 'branch' && type !== 'tag')) return ignored(key, `event "${event}" names no branch or tag`);
  const ref = body.ref.startsWith('refs/') ? body.ref : `refs/${type === 'tag' ? 'tags' : 'heads'}/${body.ref}`;
  return {
    ...{ kind: 'change', ...key, event: eventOf(ref), ref, before: null, after: event === 'create' ? sha : null },
    repository: repositoryOf(repository),
    pusher: sender.login,
  };
}

/** Returns the full ref of a branch; hosts send either the short name or the full ref. */
export function branchRef(name: string | undefined): string | undefined {
  if (name === undefined || name === '') return undefined;
  return name.startsWith('refs/') ? name : `refs/heads/${name}`;
}

export function isBranch(name: string | undefined): name is string {
  return name !== undefined && isFullRef(`refs/heads/${name}`);
}

export function present(urls: readonly (string | undefined)[]): string[] {
  return urls.filter((url): url is string => url !== undefined && url !== '');
}

/** For hosts that list the changes of a push. null: the host lists none, so that any ref may have moved. */
export function changeHookOf(
  key: DeliveryKey,
  changes: readonly RefChange[] | null,
  about: Pick<ChangeHook, 'repository' | 'pusher'>,
): ParsedHook {
  if (changes === null) return { kind: 'change', ...key, event: 'push', ref: null, before: null, after: null, ...about };
  const [first, ...others] = changes;
  if (first === undefined) return ignored(key, 'it changes no ref');
  return { kind: 'change', ...key, ...first, ...(others.length === 0 ? {} : { alsoRefs: others }), ...about };
}

export function ignored(key: DeliveryKey, reason: string): Ignored {
  return { kind: 'ignored', ...key, reason };
}

/** Quotes a word that the sender chose, made safe for a reason. */
export function quoted(word: string | undefined): string {
  return `"${(word ?? '').replace(/[^!-~]+/g, '?').slice(0, 100)}"`;
}

export function malformed(why: string, cause?: unknown): Problem {
  return new Problem('hook_malformed', `Cannot read the hook: ${why}`, { cause });
}

function isFullRef(ref: string): boolean {
  if (!ref.startsWith('refs/') || /[\s~^:?*[\\]|\p{Cc}/u.test(ref) || ref.includes('..') || ref.includes('@{')) return false;
  const segments = ref.split('/');
  return (
    segments.length >= 3 && segments.every((part) => part !== '' && !part.startsWith('.') && !part.endsWith('.') && !part.endsWith('.lock'))
  );
}

function isPlainHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && !/\p{Cc}/u.test(text) && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}
