import { Problem, type ProblemOptions } from '../wire/problem.ts';

/** Every error that the API of a git host can give, with the HTTP status under which a route answers it and who acts next. */
const KINDS = {
  /** There is no API that could be called for this source. */
  forge_unsupported: { status: 422, retry: 'never' },
  forge_token_missing: { status: 422, retry: 'never' },
  forge_unauthorized: { status: 422, retry: 'never' },
  forge_forbidden: { status: 422, retry: 'never' },
  forge_not_found: { status: 422, retry: 'never' },
  forge_redirect: { status: 422, retry: 'never' },
  /** The host does not take what was sent. */
  forge_rejected: { status: 422, retry: 'never' },
  /** Somebody else changes the same thing at this moment. */
  forge_conflict: { status: 503, retry: 'soon' },
  forge_too_large: { status: 502, retry: 'never' },
  forge_protocol: { status: 502, retry: 'backoff' },
  forge_rate_limited: { status: 503, retry: 'backoff' },
  forge_server_error: { status: 502, retry: 'backoff' },
  forge_unreachable: { status: 502, retry: 'backoff' },
  forge_timeout: { status: 504, retry: 'backoff' },
  forge_cancelled: { status: 503, retry: 'backoff' },
} as const satisfies Record<string, ProblemOptions>;

export type ForgeErrorCode = keyof typeof KINDS;

export function forgeProblem(code: ForgeErrorCode, message: string, options: ProblemOptions = {}): Problem {
  return new Problem(code, message, { ...KINDS[code], ...options });
}

export function isForgeProblem(error: unknown, ...codes: ForgeErrorCode[]): error is Problem {
  return error instanceof Problem && codes.some((code) => code === error.code);
}

/** What counts against a host's circuit: its own faults, not those of one repository or its token. */
export const FORGE_HOST_FAULTS: ReadonlySet<string> = new Set<ForgeErrorCode>(['forge_unreachable', 'forge_timeout', 'forge_server_error']);
