import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Problem } from '../../errors.ts';
import { isTooDeep, MAX_JSON_DEPTH } from '../../wire/json.ts';
import type { HookRequest, ParsedHook, Poke, RefChange } from './provider.ts';

const MAX_REF_LENGTH = 1024;

/** What `git check-ref-format` allows, for refs that are spelled out from `refs/` on. */
export const FullRef = z.string().max(MAX_REF_LENGTH).refine(isFullRef, 'must be a full ref, such as refs/heads/main');

/** SHA-1 or SHA-256, lower-case hex; the all-zero id, which stands for "no commit", becomes null. */
export const CommitId = z
  .string()
  .regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/, 'must be a commit id of 40 or 64 lower-case hex digits')
  .transform((oid) => (/^0+$/.test(oid) ? null : oid));

/** Decoration: of the wrong type, too long or with credentials in it, it is left out. */
export const DisplayText = z.string().min(1).max(200).optional().catch(undefined);
export const DisplayUrl = z.string().max(2048).refine(isPlainHttpUrl).optional().catch(undefined);

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

/** @throws Problem `hook_malformed` */
export function parseShape<T>(value: unknown, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw malformed(`/${issue?.path.map(String).join('/') ?? ''}: ${issue?.message ?? 'invalid'}`, parsed.error);
}

/** The first of these headers that holds an id, else a digest of the body. Names the delivery in `hook_deliveries`. */
export function deliveryIdOf(request: HookRequest, headerNames: readonly string[]): string {
  for (const name of headerNames) {
    const id = request.headers.get(name);
    if (id && /^[!-~]{1,200}$/.test(id)) return id;
  }
  return `sha256:${createHash('sha256').update(request.rawBody).digest('hex')}`;
}

/** JSON, or a form (the content type says so) with the JSON in its field `payload`. @throws Problem `hook_malformed` */
export function bodyOf(request: HookRequest): unknown {
  const text = textOf(request);
  const [mediaType] = (request.headers.get('content-type') ?? '').split(';');
  if (mediaType?.trim().toLowerCase() !== 'application/x-www-form-urlencoded') return parseJson(text);
  const payloads = new URLSearchParams(text).getAll('payload');
  const [payload] = payloads;
  if (payload === undefined || payloads.length > 1) throw malformed(`the form has ${payloads.length} fields "payload", must be 1`);
  return parseJson(payload);
}

export function eventOf(ref: string): 'push' | 'tag' {
  return ref.startsWith('refs/tags/') ? 'tag' : 'push';
}

/** Parts of a pull request as GitHub tells them, and Gitea after it. */
export const PullRequestShape = z.object({
  head: z.object({ sha: CommitId }),
  base: z
    .object({ ref: z.string().min(1).max(MAX_REF_LENGTH) })
    .optional()
    .catch(undefined),
  title: DisplayText,
  html_url: DisplayUrl,
});

/** Nothing where the host does not name the branch. */
export function pullRequestHint(action: string, number: number, pull: z.output<typeof PullRequestShape>): Pick<RefChange, 'mergeRequest'> {
  if (pull.base === undefined) return {};
  const state = action === 'closed' ? 'closed' : 'open';
  return { mergeRequest: { number, state, target: pull.base.ref, title: pull.title ?? null, url: pull.html_url ?? null } };
}

/** For hosts that tell of several refs in one hook. */
export function pokeOf(deliveryId: string, changes: readonly RefChange[], about: Pick<Poke, 'repositoryUrl' | 'pusher'>): ParsedHook {
  const [first, ...others] = changes;
  if (first === undefined) return { kind: 'ignored', deliveryId, reason: 'it changes no ref' };
  return { kind: 'poke', deliveryId, ...first, ...(others.length === 0 ? {} : { alsoRefs: others }), ...about };
}

export function malformed(why: string, cause?: unknown): Problem {
  return new Problem('hook_malformed', `Cannot read the hook: ${why}`, { status: 400, cause });
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
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}
