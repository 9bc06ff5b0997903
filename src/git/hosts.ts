import {
  BrokenCircuitError,
  type CircuitBreakerPolicy,
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleWhen,
} from 'cockatiel';
import { LRUCache } from 'lru-cache';
import PQueue from 'p-queue';
import { Problem } from '../errors.ts';
import type { Remote } from './remote.ts';

/** Keeps git hosts apart: each has its own bounded queue and its own circuit, so that one that is slow or down holds up nobody else's sources. */
export type GitHosts = {
  /** @throws Problem `git_host_unavailable` while the host's circuit is open, the signal's reason, and what `work` throws */
  run<T>(remote: Remote, work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Hosts by state of their circuit, for metrics. */
  openCircuits(): number;
  /** Calls `listener` with the origin of a host that was left alone and is well again. */
  onRecovered(listener: (origin: string) => void): void;
};

/** What counts against a host: its own faults, not those of one repository or its credentials. */
const HOST_FAULTS = new Set(['git_unreachable', 'git_timeout', 'git_server_error']);
const FAULTS_TO_OPEN = 5;
const MAX_HOSTS = 10_000;

type Host = { queue: PQueue; circuit: CircuitBreakerPolicy };

/** @param faults codes of Problems that count against a host; other errors leave its circuit alone */
export function createGitHosts(concurrencyPerHost: number, faults: ReadonlySet<string> = HOST_FAULTS): GitHosts {
  const hosts = new LRUCache<string, Host>({ max: MAX_HOSTS });
  const listeners = new Set<(origin: string) => void>();
  const hostOf = (name: string): Host => {
    const known = hosts.get(name);
    if (known !== undefined) return known;
    const host = { queue: new PQueue({ concurrency: concurrencyPerHost }), circuit: newCircuit(faults) };
    host.circuit.onReset(() => {
      for (const tell of listeners) tell(name);
    });
    hosts.set(name, host);
    return host;
  };
  return {
    run: async (remote, work, signal) => {
      if (remote.kind === 'local') return work();
      const { queue, circuit } = hostOf(remote.url.origin);
      const guarded = () => circuit.execute(work).catch((error: unknown) => rethrow(error, remote.host));
      return queue.add(guarded, { signal }) as ReturnType<typeof work>;
    },
    openCircuits: () => [...hosts.values()].filter((host) => host.circuit.state !== 0).length,
    onRecovered: (listener) => void listeners.add(listener),
  };
}

function newCircuit(faults: ReadonlySet<string>): CircuitBreakerPolicy {
  return circuitBreaker(
    handleWhen((error) => error instanceof Problem && faults.has(error.code)),
    { halfOpenAfter: new ExponentialBackoff({ initialDelay: 2_000, maxDelay: 120_000 }), breaker: new ConsecutiveBreaker(FAULTS_TO_OPEN) },
  );
}

function rethrow(error: unknown, host: string): never {
  if (!(error instanceof BrokenCircuitError)) throw error;
  throw new Problem(
    'git_host_unavailable',
    `Cannot reach git host "${host}": its last ${FAULTS_TO_OPEN} requests failed, it is left alone for a while`,
    { status: 503, retry: 'backoff', cause: error },
  );
}
