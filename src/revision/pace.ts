import { defaultRevisionLimits, type RevisionLimits } from './limits.ts';

/** Additions of floating-point numbers, each of which waits for the one before: four cycles, a nanosecond and a bit on the processors of today. */
const ADDITIONS = 5_000_000;
const USUAL_MS = 8;
/** However slow: the time of a hostile folder must end. */
const MOST = 5;
/** A machine that was busy may be idle soon. */
const REMEMBER_MS = 10_000;

let measured = { at: Number.NEGATIVE_INFINITY, slowness: 1 };

/**
 * The limits, with the time that a folder may take as long as this machine needs now for what a usual one does in it: on one that is overloaded, or is given
 * little of its processors, an honest commit must not be refused for it.
 */
export function limitsOfThisMachine(now = performance.now(), measure = measureMs): RevisionLimits {
  if (now - measured.at > REMEMBER_MS) measured = { at: now, slowness: Math.min(MOST, Math.max(1, measure() / USUAL_MS)) };
  return { ...defaultRevisionLimits, maxValidationMs: Math.round(defaultRevisionLimits.maxValidationMs * measured.slowness) };
}

function measureMs(): number {
  const started = performance.now();
  let sum = 0;
  for (let n = 0; n < ADDITIONS; n++) sum += n * 0.5;
  // What nobody uses would not be done.
  return sum < 0 ? 0 : performance.now() - started;
}
