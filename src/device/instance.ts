import { INSTANCE } from '../wire/agent.ts';

/** Which agent speaks with a device's key, as far as the service knows. */
export type InstanceState = {
  /** `<machine>.<start>` of the agent that spoke last; null: none said what it is. */
  instance: string | null;
  instanceSince: Date | null;
  /** How often an agent spoke again after another one had. */
  instanceReturns: number;
  instanceReturnedAt: Date | null;
  clonedSince: Date | null;
};

/** Requests of an agent that ended may arrive this long after those of its successor. */
const LATE_MS = 10_000;
/** So many returns are no accident: of an agent that ended, at most one request is under way. */
const RETURNS_OF_CLONES = 3;
/** Two agents that go on in turn return within ten minutes, the longest heartbeat. After this without a return there is one left. */
export const CLONES_FORGOTTEN_AFTER_SECONDS = 3_600;

/**
 * What a word of the agent `incoming` changes; null: nothing. A start of the agent has a new id, also on a new disk or from a backup, and the id before it
 * never speaks again. An id that does speak again belongs to a second agent with the same key. Pure.
 * @param isKnown whether that agent was one of the last to speak
 */
export function heardFrom(state: InstanceState, incoming: string, isKnown: boolean, now: Date): InstanceState | null {
  if (incoming === state.instance) return null;
  const next = { ...state, instance: incoming, instanceSince: now };
  if (state.instance === null || !isKnown) return next;
  if (state.instanceSince !== null && now.getTime() - state.instanceSince.getTime() < LATE_MS) return null;
  const isRecent = (state.instanceReturnedAt?.getTime() ?? 0) > now.getTime() - CLONES_FORGOTTEN_AFTER_SECONDS * 1000;
  const instanceReturns = (isRecent ? state.instanceReturns : 0) + 1;
  const clonedSince = state.clonedSince ?? (instanceReturns >= RETURNS_OF_CLONES ? now : null);
  return { ...next, instanceReturns, instanceReturnedAt: now, clonedSince };
}

/** The value of the header, where it is one. */
export function readInstance(header: string | undefined): string | null {
  return header !== undefined && INSTANCE.test(header) ? header : null;
}

/** The part that stays the same while the agent's machine and root do. */
export function machineOf<Instance extends string | null>(instance: Instance): Instance extends null ? null : string;
export function machineOf(instance: string | null): string | null {
  return instance === null ? null : instance.slice(0, instance.indexOf('.'));
}
