/** Whether the error, or one of its causes, means a full disk or an exhausted quota. */
export function isNoSpace(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ('code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT' || error.code === 'EFBIG')) return true;
  return error.cause !== undefined && isNoSpace(error.cause);
}
