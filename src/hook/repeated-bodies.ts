import { LRUCache } from 'lru-cache';
import { hashToken } from '../crypto/tokens.ts';

/**
 * A repeated body that names a commit is most likely a captured request. After a force-push a genuine body may equal an earlier one, so that the
 * source is still checked when this time has passed.
 */
const NAMED_SECONDS = 10;
/** A body that names no commit is identical for every push. */
const UNNAMED_SECONDS = 5;
/** Each takes some 150 bytes. */
const MAX_BODIES = 10_000;

export type Repetition =
  | { kind: 'first' }
  /**
   * Each repetition needs a check within `dueInSeconds`: an earlier check may have run before the remote served the announced commit. Only the
   * first repetition is recorded (`isNew`).
   */
  | { kind: 'again'; dueInSeconds: number; isNew: boolean };

/** Remembers verified bodies for some seconds. If a host signs only the body, anybody who captured it can send it again under another delivery id. */
export type RepeatedBodies = {
  note(sourceId: string, delivery: Repeatable, namesCommit: boolean): Repetition;
  /** Forgets a body whose processing failed, since the host will send it again. */
  forget(sourceId: string, delivery: Repeatable): void;
};

/** `meaning`: the event as it was parsed; some hosts name it only in an unsigned header. */
export type Repeatable = { body: Uint8Array; meaning: string };

export function createRepeatedBodies(now: () => number = Date.now): RepeatedBodies {
  const seen = new LRUCache<string, { untilMs: number; isNoted: boolean }>({ max: MAX_BODIES });
  const keyOf = (sourceId: string, { body, meaning }: Repeatable) => `${sourceId} ${hashToken(body).toString('base64')} ${meaning}`;
  return {
    note: (sourceId, delivery, namesCommit) => {
      const key = keyOf(sourceId, delivery);
      const nowMs = now();
      const known = seen.get(key);
      if (known === undefined || known.untilMs <= nowMs) {
        seen.set(key, { untilMs: nowMs + 1000 * (namesCommit ? NAMED_SECONDS : UNNAMED_SECONDS), isNoted: false });
        return { kind: 'first' };
      }
      const isNew = !known.isNoted;
      known.isNoted = true;
      return { kind: 'again', dueInSeconds: Math.ceil((known.untilMs - nowMs) / 1000), isNew };
    },
    forget: (sourceId, delivery) => void seen.delete(keyOf(sourceId, delivery)),
  };
}
