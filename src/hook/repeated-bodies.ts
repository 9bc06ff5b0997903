import { LRUCache } from 'lru-cache';
import { hashToken } from '../crypto/tokens.ts';

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
  /**
   * Worth a check within `dueInSeconds`, each time: another check may have come in between, before the remote had what this body stands for. Only the
   * first repetition is worth a note.
   */
  | { kind: 'again'; dueInSeconds: number; isNew: boolean };

/** Remembers verified bodies for a moment. Hosts that sign only the body let anybody who captured it send it again under another delivery id. */
export type RepeatedBodies = {
  note(sourceId: string, delivery: Repeatable, namesCommit: boolean): Repetition;
  /** The body was not taken after all: the host will send it again. */
  forget(sourceId: string, delivery: Repeatable): void;
};

/** `meaning`: what was read from the body with the event's name, which some hosts put into an unsigned header alone. */
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
