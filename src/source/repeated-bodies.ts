import { LRUCache } from 'lru-cache';
import { hashToken } from '../tokens.ts';

/**
 * A body that names a commit: sent again, it is most likely a captured request. After a force-push a genuine one may be equal to one of before, so the
 * source is checked all the same, when this time is over.
 */
const NAMED_SECONDS = 10;
/** A body that names no commit is the same for each push. */
const UNNAMED_SECONDS = 5;
/** Some 150 bytes each. */
const MAX_BODIES = 10_000;

export type Repetition =
  | { kind: 'first' }
  /** The first repetition of a body: worth a note, and a check within `dueInSeconds`. */
  | { kind: 'again'; dueInSeconds: number }
  /** Later ones cost nothing: the check is due anyway. */
  | { kind: 'often' };

/** Remembers verified bodies for a moment. Hosts that sign only the body let anybody who captured it send it again under another delivery id. */
export type RepeatedBodies = {
  note(sourceId: string, body: Uint8Array, namesCommit: boolean): Repetition;
  /** The body was not taken after all: the host will send it again. */
  forget(sourceId: string, body: Uint8Array): void;
};

export function createRepeatedBodies(now: () => number = Date.now): RepeatedBodies {
  const seen = new LRUCache<string, { untilMs: number; isNoted: boolean }>({ max: MAX_BODIES });
  const keyOf = (sourceId: string, body: Uint8Array) => sourceId + hashToken(body).toString('base64');
  return {
    note: (sourceId, body, namesCommit) => {
      const key = keyOf(sourceId, body);
      const nowMs = now();
      const known = seen.get(key);
      if (known === undefined || known.untilMs <= nowMs) {
        seen.set(key, { untilMs: nowMs + 1000 * (namesCommit ? NAMED_SECONDS : UNNAMED_SECONDS), isNoted: false });
        return { kind: 'first' };
      }
      if (known.isNoted) return { kind: 'often' };
      known.isNoted = true;
      return { kind: 'again', dueInSeconds: Math.ceil((known.untilMs - nowMs) / 1000) };
    },
    forget: (sourceId, body) => void seen.delete(keyOf(sourceId, body)),
  };
}
