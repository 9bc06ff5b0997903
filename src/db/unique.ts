/** SQLSTATE `unique_violation`. */
const UNIQUE_VIOLATION = '23505';

/** For the `catch` of a statement in a transaction that can then only be rolled back: false for a value that another row has. It throws every other error. */
export function falseIfTaken(error: unknown): false {
  if (error instanceof Error && 'code' in error && error.code === UNIQUE_VIOLATION) return false;
  throw error;
}
