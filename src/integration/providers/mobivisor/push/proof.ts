import type { Verification } from '../../../provider.ts';

/** Knowledge about one part of a configuration after it was sent. */
export type Proof =
  | { is: 'proven' }
  /** The device may still show it. */
  | { is: 'awaited'; reason: string }
  /** The platform shows another value. */
  | { is: 'contradicted'; reason: string }
  /** The platform says that the device failed. */
  | { is: 'failed'; reason: string }
  /** Nothing could ever show it. */
  | { is: 'unknowable'; reason: string };

const SOON_SECONDS = 3;
const LATER_SECONDS = 30;

/**
 * Decides about a whole configuration. Only proof of every part makes it verified. A value that the platform shows differently stays pending, as the
 * device may be offline: the attempt's own time limit ends it.
 */
export function judge(proofs: readonly Proof[], ageSeconds: number, proofSeconds: number): Verification {
  const reasons = (kind: Proof['is']) => proofs.flatMap((proof) => (proof.is === kind && 'reason' in proof ? [proof.reason] : []));
  const failed = reasons('failed');
  if (failed.length > 0) return { is: 'refused', reason: failed.join('; ') };
  const isFresh = ageSeconds < proofSeconds;
  const contradicted = reasons('contradicted');
  const awaited = reasons('awaited');
  if (contradicted.length > 0 || (isFresh && awaited.length > 0))
    return { is: 'pending', reason: [...contradicted, ...awaited].join('; '), afterSeconds: isFresh ? SOON_SECONDS : LATER_SECONDS };
  const open = [...awaited, ...reasons('unknowable')];
  return open.length === 0 ? { is: 'verified' } : { is: 'unverified', reason: open.join('; ') };
}
