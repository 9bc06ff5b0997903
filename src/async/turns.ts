import { LRUCache } from 'lru-cache';

export type TurnOwner = { organizationId: string; id: string };
/** Shares few places fairly, for work that uses the processor. */
export type Turns = {
  /** Waits for a turn without a time limit, and then runs `work`. */
  run<T>(owner: TurnOwner, work: (rest: Rest) => Promise<T>): Promise<T>;
};
/** Lets the organization begin no other turn for so long after this one, while other organizations are present. */
export type Rest = (restMs: number) => void;

/** A turn that lasts longer marks its organization as heavy for `HEAVY_FOR_MS`. */
const HEAVY_MS = 1_000;
const HEAVY_FOR_MS = 60_000;
/** How long an organization counts as present after its last turn. The others share the places with it. */
const PRESENT_FOR_MS = 10 * 60_000;
const MAX_REMEMBERED = 10_000;

type Turn = { owner: TurnOwner; startedAt: number; restMs: number };
type Waiting = { owner: TurnOwner; start(): void };
type Served = { at: number; heavyAt: number; restsUntil: number };
const NEVER_SERVED: Served = { at: -Infinity, heavyAt: -Infinity, restsUntil: -Infinity };

/**
 * Runs `places` turns at once, and one more for an organization that has none running, so that a first turn rarely waits. The next turn goes to the
 * organization with the fewest running turns. A tie goes to the one served longest ago. Within the organization, the source served longest ago is next.
 * While other organizations are present, one with heavy work gets one turn at a time.
 */
export function openTurns(places: number, clock: () => number = () => performance.now()): Turns {
  const organizations = new LRUCache<string, Served>({ max: MAX_REMEMBERED });
  const sources = new LRUCache<string, number>({ max: MAX_REMEMBERED });
  const running = new Set<Turn>();
  const waiting = new Set<Waiting>();

  const runningOf = (organizationId: string) => [...running].filter(({ owner }) => owner.organizationId === organizationId);
  const isAlone = (organizationId: string, now: number) => {
    for (const [id, { at }] of organizations.entries()) if (id !== organizationId && now - at < PRESENT_FOR_MS) return false;
    return [...waiting].every(({ owner }) => owner.organizationId === organizationId);
  };
  const servedOf = (organizationId: string) => organizations.get(organizationId) ?? NEVER_SERVED;
  const isHeavy = (organizationId: string, now: number) =>
    now - servedOf(organizationId).heavyAt < HEAVY_FOR_MS || runningOf(organizationId).some(({ startedAt }) => now - startedAt > HEAVY_MS);
  const restLeftMs = (organizationId: string, now: number) => {
    const leftMs = servedOf(organizationId).restsUntil - now;
    return leftMs <= 0 || isAlone(organizationId, now) ? 0 : leftMs;
  };
  const mayStart = ({ owner: { organizationId } }: Waiting, now: number) => {
    if (restLeftMs(organizationId, now) > 0) return false;
    if (runningOf(organizationId).length === 0) return running.size <= places;
    return running.size < places && (isAlone(organizationId, now) || !isHeavy(organizationId, now));
  };
  const rank = ({ owner }: Waiting) => [
    runningOf(owner.organizationId).length,
    servedOf(owner.organizationId).at,
    sources.get(owner.id) ?? -Infinity,
  ];
  let timer: NodeJS.Timeout | undefined;
  const dispatchAfterRests = (now: number) => {
    const rests = [...waiting].map(({ owner }) => restLeftMs(owner.organizationId, now)).filter((ms) => ms > 0);
    clearTimeout(timer);
    if (rests.length > 0) timer = setTimeout(dispatch, Math.ceil(Math.min(...rests))).unref();
  };
  const dispatch = () => {
    for (;;) {
      const now = clock();
      const [next] = [...waiting].filter((entry) => mayStart(entry, now)).sort((a, b) => compare(rank(a), rank(b)));
      if (next === undefined) return dispatchAfterRests(now);
      waiting.delete(next);
      next.start();
    }
  };
  const begin = async <T>(owner: TurnOwner, work: (rest: Rest) => Promise<T>): Promise<T> => {
    const turn: Turn = { owner, startedAt: clock(), restMs: 0 };
    running.add(turn);
    organizations.set(owner.organizationId, { ...servedOf(owner.organizationId), at: turn.startedAt });
    sources.set(owner.id, turn.startedAt);
    try {
      return await work((restMs) => {
        turn.restMs = restMs;
      });
    } finally {
      running.delete(turn);
      end(turn, clock());
      dispatch();
    }
  };
  const end = ({ owner: { organizationId }, startedAt, restMs }: Turn, now: number) => {
    const served = servedOf(organizationId);
    const heavy = now - startedAt > HEAVY_MS ? { at: now, heavyAt: now } : {};
    organizations.set(organizationId, { ...served, ...heavy, restsUntil: Math.max(served.restsUntil, now + restMs) });
  };
  return {
    run: <T>(owner: TurnOwner, work: (rest: Rest) => Promise<T>) =>
      new Promise<T>((resolve, reject) => {
        waiting.add({ owner, start: () => void begin(owner, work).then(resolve, reject) });
        dispatch();
      }),
  };
}

/** Lexicographic order in which `-Infinity` equals itself. */
function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) {
    const other = b[index] ?? -Infinity;
    if (value !== other) return value < other ? -1 : 1;
  }
  return 0;
}
