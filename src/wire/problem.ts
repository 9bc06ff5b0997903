import { type ErrorCode, type ErrorKind, errorKind, type Retry } from './errors.ts';

export type FieldError = { pointer: string; detail: string };

export type ProblemOptions = {
  /** Set only if it differs from the table: the status of another program's answer, or one that the table names under `also`. */
  status?: number;
  /** Set only if it differs from the table. */
  retry?: Retry;
  errors?: FieldError[];
  retryAfterSeconds?: number;
  cause?: unknown;
};

/** A code from another program or thread, which the table may lack. */
export type ReceivedCode = { received: string };

const UNKNOWN: ErrorKind = { status: 500, retry: 'never', meaning: '' };

/**
 * Every error that crosses a module's border. `code` is stable and machine-readable; the table in `errors.ts` defines its status and retry.
 * `message` is for people: action first, quoted subject, actual versus required.
 */
export class Problem extends Error {
  readonly code: string;
  /** HTTP status of a route's answer with this error. */
  readonly status: number;
  readonly retry: Retry;
  readonly errors: FieldError[] | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode | ReceivedCode, message: string, options: ProblemOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Problem';
    this.code = typeof code === 'string' ? code : code.received;
    const kind = errorKind(this.code) ?? UNKNOWN;
    this.status = options.status ?? kind.status;
    this.retry = options.retry ?? kind.retry;
    this.errors = options.errors;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** The same error with another message or status. */
export function reworded(problem: Problem, changes: { message?: string; status?: number; cause?: unknown }): Problem {
  const { code, status, retry, errors, retryAfterSeconds, cause } = problem;
  return new Problem({ received: code }, changes.message ?? problem.message, {
    status,
    retry,
    errors,
    retryAfterSeconds,
    cause,
    ...changes,
  });
}

/** Whether the same work may succeed later. Any error that is not a Problem is unexpected and may pass. */
export function retryOf(error: unknown): Retry {
  return error instanceof Problem ? error.retry : 'backoff';
}

export function isProblem(error: unknown, ...codes: ErrorCode[]): error is Problem {
  return error instanceof Problem && codes.some((code) => code === error.code);
}

/** See `ErrorKind.about`. */
export function isAbout(error: unknown, what: NonNullable<ErrorKind['about']>): boolean {
  return error instanceof Problem && errorKind(error.code)?.about === what;
}

/** Message of any thrown value, one line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
