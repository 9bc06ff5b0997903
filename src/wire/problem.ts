/**
 * Every error that crosses a module's border. `code` is stable and machine-readable, `message` is for people: action first, quoted
 * subject, actual versus required. `retry` says who acts next.
 */
export type Retry =
  /** The same input fails again: a person must change something. */
  | 'never'
  /** The other side may recover: try again with backoff. */
  | 'backoff'
  /** Something is expected to appear soon: try again shortly. */
  | 'soon';

export type FieldError = { pointer: string; detail: string };

export type ProblemOptions = {
  /** HTTP status under which a route answers it. */
  status?: number;
  retry?: Retry;
  errors?: FieldError[];
  retryAfterSeconds?: number;
  cause?: unknown;
};

export class Problem extends Error {
  readonly code: string;
  readonly status: number;
  readonly retry: Retry;
  readonly errors: FieldError[] | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: string, message: string, options: ProblemOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Problem';
    this.code = code;
    this.status = options.status ?? 500;
    this.retry = options.retry ?? 'never';
    this.errors = options.errors;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** Message of anything that was thrown, one line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
