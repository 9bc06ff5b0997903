import { INSTANCE } from '../wire/agent.ts';

/** Agent that uses a device's key, as far as the service knows. */
export type InstanceState = {
  /** `<machine>.<start>` of the agent that sent the last request; null: no agent has sent it. */
  instance: string | null;
  instanceSince: Date | null;
  /** How often an agent sent requests again after another agent had used the key. */
  instanceReturns: number;
  instanceReturnedAt: Date | null;
  clonedSince: Date | null;
};

/** Requests of an ended agent may arrive this long after those of its successor. */
const LATE_MS = 10_000;
/** This many returns prove a clone, since an ended agent has at most one request in flight. */
const RETURNS_OF_CLONES = 3;
/** Two running agents return within ten minutes, the longest heartbeat interval. After this time without a return, only one is left. */
export const CLONES_FORGOTTEN_AFTER_SECONDS = 3_600;

/**
 * Returns the state after a request of the agent `incoming`; null: unchanged. Each start of an agent has a new id, also on a new disk or from a backup.
 * The earlier id then sends no more requests. An id that returns belongs to a second agent with the same key. Pure.
 * @param isKnown whether that agent is one of the last that used the key
 */
export function stateAfterRequest(state: InstanceState, incoming: string, isKnown: boolean, now: Date): InstanceState | null {
  if (incoming === state.instance) return null;
  const next = { ...state, instance: incoming, instanceSince: now };
  if (state.instance === null || !isKnown) return next;
  if (state.instanceSince !== null && now.getTime() - state.instanceSince.getTime() < LATE_MS) return null;
  const isRecent = (state.instanceReturnedAt?.getTime() ?? 0) > now.getTime() - CLONES_FORGOTTEN_AFTER_SECONDS * 1000;
  const instanceReturns = (isRecent ? state.instanceReturns : 0) + 1;
  const clonedSince = state.clonedSince ?? (instanceReturns >= RETURNS_OF_CLONES ? now : null);
  return { ...next, instanceReturns, instanceReturnedAt: now, clonedSince };
}

/** Returns the header's value if it is a valid instance. */
export function readInstance(header: string | undefined): string | null {
  return header !== undefined && INSTANCE.test(header) ? header : null;
}

/** Returns the part that stays the same while the agent's machine and root directory stay the same. */
export function machineOf<Instance extends string | null>(instance: Instance): Instance extends null ? null : string;
export function machineOf(instance: string | null): string | null {
  return instance === null ? null : instance.slice(0, instance.indexOf('.'));
}
