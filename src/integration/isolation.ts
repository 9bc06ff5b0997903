import { BrokenCircuitError, type CircuitBreakerPolicy, circuitBreaker, ExponentialBackoff, handleWhen } from 'cockatiel';
import { LRUCache } from 'lru-cache';
import PQueue from 'p-queue';
import { isProblem, Problem } from '../errors.ts';
import type { Isolate } from './api.ts';
import type { Integration } from './integration.ts';
import { circuitProblem } from './problems.ts';

export type CircuitState = 'closed' | 'open' | 'half_open';

/** An integration as its limits know it. */
export type Isolated = Pick<Integration, 'id' | 'type' | 'name'>;

/**
 * Isolates integrations from each other, in this process. Each one has its own slots and its own circuit. A platform that hangs therefore delays
 * its own integration only, and one that fails gets no more requests for a while.
 */
export type Isolation = {
  /** @returns runs calls in the integration's slots, through its circuit. It throws Problem `integration_unavailable` while the circuit is open. */
  of(integration: Isolated): Isolate;
  circuitOf(id: string): CircuitState;
  /** Closes the circuit: for new settings or credentials, which the old failures say nothing about. Calls in flight keep their slots. */
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
};

const CONCURRENCY = 4;
const FAULTS_TO_OPEN = 5;
const FIRST_PAUSE_MS = 2_000;
const MAX_PAUSE_MS = 120_000;
const MAX_INTEGRATIONS = 10_000;

type Limits = { slots: PQueue; circuit: CircuitBreakerPolicy; faults: { inARow: number } };

export function createIsolation({ concurrency = CONCURRENCY, observe, firstPauseMs = FIRST_PAUSE_MS }: Options = {}): Isolation {
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
      return limits.slots.add(() => throughCircuit(limits, integration, () => observed(work, integration, observe)), { signal });
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
  return { circuit, faults };
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
