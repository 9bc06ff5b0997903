import { BrokenCircuitError, type CircuitBreakerPolicy, circuitBreaker, ExponentialBackoff, handleWhen } from 'cockatiel';
import { LRUCache } from 'lru-cache';
import PQueue from 'p-queue';
import { isProblem, Problem } from '../errors.ts';
import { type Isolate, MAX_WAIT_MS } from './api.ts';
import type { Integration } from './integration.ts';
import { circuitProblem, pauseProblem } from './problems.ts';

export type CircuitState = 'closed' | 'open' | 'half_open';

/** An integration as its limits know it. */
export type Isolated = Pick<Integration, 'id' | 'type' | 'name'>;

/**
 * Isolates integrations from each other, in this process. Each one has its own slots and its own circuit. A platform that hangs therefore delays
 * its own integration only, and one that fails gets no more requests for a while.
 */
export type Isolation = {
  /**
   * @returns runs calls in the integration's slots, through its circuit. It throws Problem `integration_unavailable` while the circuit is open, and
   * `integration_rate_limited` until the time that the platform named.
   */
  of(integration: Isolated): Isolate;
  circuitOf(id: string): CircuitState;
  /** Closes the circuit and ends a pause: for new settings or credentials, which the old failures say nothing about. Calls in flight keep their slots. */
  reset(id: string): void;
  /** Counts the circuits that are not closed, for metrics. */
  openCircuits(): number;
};

/** One request to a platform. `outcome`: `ok`, an error code without `integration_`, `aborted` or `error`. */
export type ObservedCall = { integration: Isolated; outcome: string; durationMs: number };

type Options = {
  /** Requests in flight per integration. */
  concurrency?: number;
  observe?: (call: ObservedCall) => void;
  /** Milliseconds from the opening of a circuit to its first trial request; doubles with each failed trial. */
  firstPauseMs?: number;
  now?: () => number;
};

const CONCURRENCY = 4;
const FAULTS_TO_OPEN = 5;
const FIRST_PAUSE_MS = 2_000;
const MAX_PAUSE_MS = 120_000;
const MAX_INTEGRATIONS = 10_000;

/** `pause`: a platform that asks for a long one would else be asked by each delivery, command and page. */
type Limits = { slots: PQueue; circuit: CircuitBreakerPolicy; faults: { inARow: number }; pause: { untilMs: number } };

export function createIsolation(options: Options = {}): Isolation {
  const { concurrency = CONCURRENCY, observe, firstPauseMs = FIRST_PAUSE_MS, now = Date.now } = options;
  const known = new LRUCache<string, Limits>({ max: MAX_INTEGRATIONS });
  const limitsOf = (id: string): Limits => {
    const limits = known.get(id) ?? { slots: new PQueue({ concurrency }), ...openCircuit(firstPauseMs) };
    known.set(id, limits);
    return limits;
  };
  return {
    of: (integration) => (work, signal) => {
      // On every call: a reset circuit counts for platforms that are open already.
      const limits = limitsOf(integration.id);
      const call = () => throughCircuit(limits, integration, () => observed(work, integration, observe));
      return limits.slots.add(() => unlessPaused(limits, integration, call, now), { signal });
    },
    circuitOf: (id) => stateOf(known.peek(id)),
    reset: (id) => {
      const limits = known.peek(id);
      if (limits !== undefined) known.set(id, { slots: limits.slots, ...openCircuit(firstPauseMs) });
    },
    openCircuits: () => [...known.values()].filter((limits) => stateOf(limits) !== 'closed').length,
  };
}

function openCircuit(initialDelay: number): Omit<Limits, 'slots'> {
  const faults = { inARow: 0 };
  const clear = () => {
    faults.inARow = 0;
  };
  const failed = () => {
    faults.inARow += 1;
    return faults.inARow >= FAULTS_TO_OPEN;
  };
  const circuit = circuitBreaker(handleWhen(isFault), {
    halfOpenAfter: new ExponentialBackoff({ initialDelay, maxDelay: MAX_PAUSE_MS }),
    breaker: { state: undefined, success: clear, failure: failed },
  });
  return { circuit, faults, pause: { untilMs: 0 } };
}

async function unlessPaused<T>({ pause }: Limits, { name }: Isolated, call: () => Promise<T>, now: () => number): Promise<T> {
  const leftMs = pause.untilMs - now();
  if (leftMs > 0) throw pauseProblem(name, Math.ceil(leftMs / 1000));
  try {
    return await call();
  } catch (error) {
    const askedMs = error instanceof Problem ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
    if (askedMs > MAX_WAIT_MS) pause.untilMs = now() + askedMs;
    throw error;
  }
}

/** Only the connection, the time limit and the platform's own failure count. A refused request proves that the platform answers. */
function isFault(error: unknown): boolean {
  return isProblem(error, 'integration_unreachable', 'integration_timeout', 'integration_server_error', 'integration_unavailable');
}

async function throughCircuit<T>({ circuit, faults }: Limits, integration: Isolated, work: () => Promise<T>): Promise<T> {
  try {
    return await circuit.execute(async () => {
      try {
        return await work();
      } catch (error) {
        if (error instanceof Problem && !isFault(error)) faults.inARow = 0;
        throw error;
      }
    });
  } catch (error) {
    throw error instanceof BrokenCircuitError ? circuitProblem(integration.name, MAX_PAUSE_MS / 1000, error) : error;
  }
}

async function observed<T>(work: () => Promise<T>, integration: Isolated, observe: Options['observe']): Promise<T> {
  if (observe === undefined) return work();
  const started = performance.now();
  const end = (outcome: string) => observe({ integration, outcome, durationMs: performance.now() - started });
  try {
    const result = await work();
    end('ok');
    return result;
  } catch (error) {
    end(outcomeOf(error));
    throw error;
  }
}

function outcomeOf(error: unknown): string {
  if (error instanceof Problem) return error.code.replace(/^integration_/, '');
  return error instanceof Error && error.name === 'AbortError' ? 'aborted' : 'error';
}

function stateOf(limits: Limits | undefined): CircuitState {
  if (limits === undefined || limits.circuit.state === 0) return 'closed';
  return limits.circuit.state === 2 ? 'half_open' : 'open';
}
