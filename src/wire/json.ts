import { z } from 'zod';

/** Of a value whose shape is not ours: deeper ones break those who read them by recursion, PostgreSQL among them. */
const MAX_DEPTH = 64;
const TOO_DEEP = `must be nested at most ${MAX_DEPTH} levels deep`;

/** Any JSON value of moderate depth. */
export const AnyJson = z.unknown().refine((value) => isWithin(value, MAX_DEPTH), TOO_DEEP);
/** Any JSON object of moderate depth. */
export const AnyObject = z.record(z.string(), z.unknown()).refine((value) => isWithin(value, MAX_DEPTH), TOO_DEEP);

/** Level by level, so that no depth exhausts the stack. */
function isWithin(value: unknown, maxDepth: number): boolean {
  let level = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > maxDepth) return false;
    level = level.flatMap((inner) => (typeof inner === 'object' && inner !== null ? Object.values(inner) : []));
  }
  return true;
}
