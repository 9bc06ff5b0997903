import { defaultRevisionLimits, type RevisionLimits } from '../revision/limits.ts';

/** In a millisecond, additions of floating-point numbers that wait for each other: four cycles each, on the processors of today. */
const ADDITIONS_PER_MS = 700_000;
/** What a look takes on a usual machine; the first one is longer, since a machine that is given little of its processors is given it in pieces. */
const LOOK_MS = 4;
const FIRST_LOOK_MS = 30;
/** However slow: the time of a hostile folder must end. */
const MOST = 5;
/** A machine that was busy may be idle soon, and one that looks idle may only have been so for the look. */
const REMEMBER_MS = 10_000;
const FORGET = 0.7;

let measured = { at: performance.now(), slowness: slownessOf(FIRST_LOOK_MS) };

/**
 * The limits, with the time that a folder and all slow ones may take as long as this machine needs now for what a usual one does in it: on one that is overloaded, or is given
 * little of its processors, an honest commit must not be refused for it.
 */
export function limitsOfThisMachine(now = performance.now(), measure = () => slownessOf(LOOK_MS)): RevisionLimits {
  if (now - measured.at > REMEMBER_MS) measured = { at: now, slowness: Math.max(measure(), FORGET * measured.slowness) };
  const slowness = Math.min(MOST, Math.max(1, measured.slowness));
  const here = (usualMs: number) => Math.round(usualMs * slowness);
  const { maxValidationMs, maxCommitValidationMs } = defaultRevisionLimits;
  return { ...defaultRevisionLimits, maxValidationMs: here(maxValidationMs), maxCommitValidationMs: here(maxCommitValidationMs) };
}

/** How many times longer than a usual machine this one takes. */
function slownessOf(usualMs: number): number {
  const started = performance.now();
  let sum = 0;
  for (let n = usualMs * ADDITIONS_PER_MS; n > 0; n--) sum += n * 0.5;
  // What nobody uses would not be done.
  return sum > 0 ? (performance.now() - started) / usualMs : 1;
}
