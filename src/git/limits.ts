/**
 * Bounds the cost of a repository. Bellwether checks every size before it allocates memory: it reads the sizes from the pack's object headers and
 * stops inflating at the declared size.
 */
export type Limits = {
  /** Bytes of one transferred pack. */
  maxPackBytes: number;
  /** Bytes of a pack that extends a mirror. For a larger one Bellwether fetches the commit alone, which may cost less. */
  maxIncrementBytes: number;
  /** Bytes of one inflated object (400 MB of zeros are 400 kB in transfer). */
  maxObjectBytes: number;
  /** Inflated bytes of all objects of one pack, deltas resolved. This bounds the time that a compression bomb takes. */
  maxInflatedBytes: number;
  /** Files and folders below one tree. A pack may have four times as many objects. */
  maxEntries: number;
  /** Levels of nested folders. */
  maxDepth: number;
};

/** Enough for a fleet of 100,000 devices with a few files each. The process needs about 3 × `maxPackBytes` of memory at the peak. */
export const DEFAULT_LIMITS: Limits = Object.freeze({
  maxPackBytes: 128 * 1024 * 1024,
  maxIncrementBytes: 32 * 1024 * 1024,
  maxObjectBytes: 32 * 1024 * 1024,
  maxInflatedBytes: 2 * 1024 * 1024 * 1024,
  maxEntries: 600_000,
  maxDepth: 32,
});

/** Limits the objects of one pack: each entry needs at most one blob; folders and the commits since the last fetch add to that. */
export function maxPackObjects(limits: Limits): number {
  return limits.maxEntries * 4;
}
