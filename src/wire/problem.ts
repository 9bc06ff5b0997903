import { type ErrorCode, type ErrorKind, errorKind, type Retry } from './errors.ts';

export type FieldError = { pointer: string; detail: string };

export type ProblemOptions = {
  /** Only where it differs from the table's: the answer of another program, or a status that the table names under `also`. */
  status?: number;
  /** Only where it differs from the table's. */
  retry?: Retry;
  errors?: FieldError[];
  retryAfterSeconds?: number;
  cause?: unknown;
};

/** A code that another program or thread gave, which the table may not have. */
export type ReceivedCode = { received: string };

const UNKNOWN: ErrorKind = { status: 500, retry: 'never', meaning: '' };

/**
 * Every error that crosses a module's border. `code` is stable and machine-readable; the table in `errors.ts` gives its status and retry.
 * `message` is for people: action first, quoted subject, actual versus required.
 */
export class Problem extends Error {
  readonly code: string;
  /** HTTP status under which a route answers it. */
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

/** Whether the same work may succeed later. An error that is no Problem is a surprise, and surprises may pass. */
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

/** Message of anything that was thrown, one line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
