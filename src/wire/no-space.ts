/** Whether the disk, or this user's share of it, is full, by the error or what caused it. */
export function isNoSpace(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ('code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT' || error.code === 'EFBIG')) return true;
  return error.cause !== undefined && isNoSpace(error.cause);
}
