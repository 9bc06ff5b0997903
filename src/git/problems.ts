import { isNoSpace } from '../wire/no-space.ts';
import { Problem, type ProblemOptions } from '../wire/problem.ts';

/** Every error that reading a Git remote or repository can give, with its HTTP status and who acts next. */
const KINDS = {
  invalid_url: { status: 400, retry: 'never' },
  invalid_ref: { status: 400, retry: 'never' },
  address_refused: { status: 422, retry: 'never' },
  git_unreachable: { status: 502, retry: 'backoff' },
  git_timeout: { status: 504, retry: 'backoff' },
  git_server_error: { status: 502, retry: 'backoff' },
  /** The host's certificate is not trusted, or it speaks no TLS. */
  git_tls: { status: 502, retry: 'backoff' },
  git_protocol: { status: 502, retry: 'backoff' },
  /** The host names a time before which it takes no more requests. */
  git_rate_limited: { status: 503, retry: 'backoff' },
  git_auth: { status: 422, retry: 'never' },
  git_push_denied: { status: 422, retry: 'never' },
  /** The host took the push and then refused the branch: a hook, a protected name, a rule. */
  git_push_refused: { status: 422, retry: 'never' },
  branch_exists: { status: 409, retry: 'never' },
  git_not_found: { status: 422, retry: 'never' },
  git_redirect: { status: 422, retry: 'never' },
  git_too_large: { status: 422, retry: 'never' },
  git_unsupported: { status: 422, retry: 'never' },
  /** A host may announce a commit a moment before it serves it. */
  commit_missing: { status: 422, retry: 'soon' },
  /** Something that should be among the objects that were fetched is not. */
  git_object_missing: { status: 502, retry: 'backoff' },
  /** An object of the repository itself is damaged or malformed, at the host. */
  git_object_invalid: { status: 422, retry: 'never' },
  /** What the host sent was damaged on the way, or broken off. */
  git_transfer_damaged: { status: 502, retry: 'backoff' },
  /** What this service keeps of an earlier fetch is damaged or of no use, and is gone: the next fetch starts from nothing. */
  mirror_damaged: { status: 502, retry: 'soon' },
  /** The disk with our mirrors is full. */
  mirror_no_space: { status: 507, retry: 'backoff' },
  ref_missing: { status: 422, retry: 'soon' },
  repository_empty: { status: 422, retry: 'soon' },
} as const satisfies Record<string, ProblemOptions>;

export type GitErrorCode = keyof typeof KINDS;

export function gitProblem(code: GitErrorCode, message: string, options: ProblemOptions = {}): Problem {
  return new Problem(code, message, { ...KINDS[code], ...options });
}

export function isProblem(error: unknown, ...codes: GitErrorCode[]): error is Problem {
  return error instanceof Problem && codes.some((code) => code === error.code);
}

/** Text that a server chose, fit for one line of a log: no control characters, at most 300 characters. */
export function foreignText(text: string): string {
  const line = text.replace(/[\p{C}\s]+/gu, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}

/** @param where the repository's address in quotes @param what the host did instead of answering as Git */
export function signInProblem(where: string, what: string): Problem {
  const advice = "it wants a sign-in; check the source's credentials, and that its URL is the repository's";
  return gitProblem('git_auth', `Cannot read ${where}: ${what} instead of Git's answer; ${advice}`);
}

/** What stands for an error of writing to a mirror: a full disk is told as such, anything else stays what it is. */
export function mirrorProblem(error: unknown): unknown {
  if (error instanceof Problem || !isNoSpace(error)) return error;
  const advice = 'make room where DATA_DIR stands, it goes on by itself';
  return gitProblem('mirror_no_space', `Cannot keep what was fetched: the disk of this service is full; ${advice}`, { cause: error });
}
