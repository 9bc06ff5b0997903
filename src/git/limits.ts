/**
 * What a repository may cost. Everything is checked before the memory is taken: sizes are read from the pack's object headers, and
 * inflating stops at the size that the header declares.
 */
export type Limits = {
  /** Bytes of one pack on the wire. */
  maxPackBytes: number;
  /** Bytes of a pack that adds to a mirror. Beyond them the commit alone is fetched, which may cost less. */
  maxIncrementBytes: number;
  /** Bytes of one object after inflating (400 MB of zeros are 400 kB on the wire). */
  maxObjectBytes: number;
  /** Bytes that all objects of one pack may inflate to, deltas resolved: bounds the time that a bomb takes. */
  maxInflatedBytes: number;
  /** Files and folders below one tree. A pack may hold four times as many objects. */
  maxEntries: number;
  /** Folders inside folders. */
  maxDepth: number;
};

/** Room for a fleet of 100,000 devices with a few files each; far below what hurts the process (about 3 × `maxPackBytes` at the peak). */
export const DEFAULT_LIMITS: Limits = Object.freeze({
  maxPackBytes: 128 * 1024 * 1024,
  maxIncrementBytes: 32 * 1024 * 1024,
  maxObjectBytes: 32 * 1024 * 1024,
  maxInflatedBytes: 2 * 1024 * 1024 * 1024,
  maxEntries: 600_000,
  maxDepth: 32,
});

/** Objects that one pack may hold: an entry costs a blob at most, its folders and the commits of a long absence come on top. */
export function maxPackObjects(limits: Limits): number {
  return limits.maxEntries * 4;
}
