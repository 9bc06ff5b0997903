import PQueue from 'p-queue';
import { type DuePush, duePushes } from '../adapter/pushes-store.ts';
import { pause } from '../async/pause.ts';
import { type Advanced, advancePush, type PushDeps } from './advance.ts';

/** Deliveries in progress per integration, or per adapter where there is none. */
const PER_LANE = 8;
/** Deliveries that wait for a place in their lane; more stay in the database. */
const BACKLOG_PER_LANE = 64;
const BATCH = 256;
/** While a slow platform keeps the run going, deliveries of the others that become due meanwhile are found this often. */
const LOOK_MS = 500;
/** A longer run would be taken for one of a dead process. The next run goes on. */
const MAX_RUN_MS = 5 * 60_000;

export type PushRun = {
  /** Unexpected errors by device. */
  failed: Map<string, unknown>;
  /** More is due than the run had time for. */
  isCutShort: boolean;
};

/**
 * Advances all due deliveries of an organization. Each integration has its own places, so that a platform that hangs delays its own devices only.
 * A platform that takes no requests now is left out of the rest of the run.
 */
export async function runPushes(deps: PushDeps, organizationId: string, signal: AbortSignal): Promise<PushRun> {
  const adapters = deps.adapters.names.filter((name) => deps.adapters.get(name).delivery === 'push');
  const lanes = new Map<string, PQueue>();
  const laneOf = (name: string) => {
    const lane = lanes.get(name) ?? new PQueue({ concurrency: PER_LANE });
    lanes.set(name, lane);
    return lane;
  };
  const busy = new Set<string>();
  const failed = new Map<string, unknown>();
  const closed = new Set<string>();
  const started = performance.now();
  let onFree = Promise.withResolvers<void>();
  const start = (due: DuePush) => {
    busy.add(due.deviceId);
    const work = async () => {
      const advanced = await advance(deps, due, { closed, failed, signal });
      if (advanced === 'closed') closed.add(due.lane);
    };
    void laneOf(due.lane)
      .add(work)
      .finally(() => {
        busy.delete(due.deviceId);
        onFree.resolve();
      });
  };
  for (;;) {
    const isOver = signal.aborted || performance.now() - started > MAX_RUN_MS;
    const full = [...lanes].filter(([, lane]) => lane.size >= BACKLOG_PER_LANE).map(([name]) => name);
    const wanted = { adapters, exceptDevices: [...busy, ...failed.keys()], exceptLanes: [...closed, ...full], limit: BATCH };
    const due = isOver ? [] : await duePushes(deps.store.sql, organizationId, wanted);
    if (due.length === 0 && busy.size === 0) return { failed, isCutShort: isOver && !signal.aborted };
    for (const one of due) start(one);
    await Promise.race([onFree.promise, pause(LOOK_MS)]);
    onFree = Promise.withResolvers<void>();
  }
}

type Shared = { closed: ReadonlySet<string>; failed: Map<string, unknown>; signal: AbortSignal };

async function advance(deps: PushDeps, due: DuePush, { closed, failed, signal }: Shared): Promise<Advanced> {
  if (closed.has(due.lane) || signal.aborted) return 'closed';
  try {
    return await advancePush(deps, due, signal);
  } catch (error) {
    if (!signal.aborted) failed.set(due.deviceId, error);
    return 'ended';
  }
}
