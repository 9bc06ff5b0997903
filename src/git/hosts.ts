import { BrokenCircuitError, type CircuitBreakerPolicy, circuitBreaker, ExponentialBackoff, handleWhen, type IBreaker } from 'cockatiel';
import { LRUCache } from 'lru-cache';
import { isAbout, Problem } from '../errors.ts';
import { openSlots, type Slots } from './host-slots.ts';
import type { Remote } from './remote.ts';

/** The source on whose behalf a host is called. */
export type HostCaller = { organizationId: string; id: string };

/**
 * Isolates organizations, hosts and repositories from each other. Each organization has its own slots and its own circuit at each host.
 * The repositories of one organization therefore never delay or block those of another. A circuit rejects only sources whose own last call failed.
 * A healthy or new source always reaches the host.
 */
export type GitHosts = {
  /** @throws Problem `git_host_unavailable` while the circuit is open and the source's last call failed; the signal's reason; errors of `work` */
  run<T>(remote: Remote, caller: HostCaller, work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** For connection tests: calls the host in a slot as `run` does, but neither consults nor affects the circuit. */
  probe<T>(remote: Remote, caller: HostCaller, work: () => Promise<T>): Promise<T>;
  /** Counts the circuits that are not closed, for metrics. */
  openCircuits(): number;
  /** Calls `listener` each time a circuit closes again. */
  onRecovered(listener: (organizationId: string, origin: string) => void): void;
};

/** Errors of connections that were never established. They affect every repository of the host. */
const CONNECTION_FAULTS = new Set([
  'ECONNREFUSED',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const FAULTS_TO_OPEN = 5;
const MAX_HOSTS = 10_000;
const MAX_FAILING = 10_000;

type Host = { slots: Slots; circuit: CircuitBreakerPolicy; failing: LRUCache<string, true>; faults: Faults };

/** @param concurrency limit of simultaneous calls of one organization at one host */
export function createGitHosts(concurrency: number): GitHosts {
  const hosts = new LRUCache<string, Host>({ max: MAX_HOSTS });
  const listeners = new Set<(organizationId: string, origin: string) => void>();
  const hostOf = ({ organizationId }: HostCaller, { origin }: URL): Host => {
    const key = `${organizationId} ${origin}`;
    const known = hosts.get(key);
    if (known !== undefined) return known;
    const host = openHost(concurrency);
    host.circuit.onReset(() => {
      for (const notify of listeners) notify(organizationId, origin);
    });
    hosts.set(key, host);
    return host;
  };
  return {
    run: async (remote, caller, work, signal) => {
      if (remote.kind === 'local') return work();
      const host = hostOf(caller, remote.url);
      const attempt = () => recordOutcome(host, caller.id, work);
      const guarded = () => (host.failing.has(caller.id) ? throughCircuit(host, attempt, remote.host) : bypassOpenCircuit(host, attempt));
      return host.slots.run(host.failing.has(caller.id), guarded, signal);
    },
    probe: async (remote, caller, work) => {
      if (remote.kind === 'local') return work();
      const host = hostOf(caller, remote.url);
      return host.slots.run(host.failing.has(caller.id), work);
    },
    openCircuits: () => [...hosts.values()].filter((host) => host.circuit.state !== 0).length,
    onRecovered: (listener) => void listeners.add(listener),
  };
}

function openHost(concurrency: number): Host {
  const faults = countFaults();
  const circuit = circuitBreaker(
    // An error of one repository must not open the circuit of its host.
    handleWhen((error) => isAbout(error, 'host')),
    { halfOpenAfter: new ExponentialBackoff({ initialDelay: 2_000, maxDelay: 120_000 }), breaker: faults.breaker },
  );
  return { slots: openSlots(concurrency), circuit, failing: new LRUCache({ max: MAX_FAILING }), faults };
}

/** Records which source failed before the circuit evaluates the failure. */
async function recordOutcome<T>(host: Host, id: string, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work();
    host.failing.delete(id);
    host.faults.clear();
    return result;
  } catch (error) {
    if (isAbout(error, 'host')) {
      host.failing.set(id, true);
      host.faults.add(id, isConnectionFault(error));
    }
    throw error;
  }
}

/** A healthy source bypasses an open circuit. Its outcome still counts while the circuit is closed. */
function bypassOpenCircuit<T>(host: Host, attempt: () => Promise<T>): Promise<T> {
  return host.circuit.state === 0 ? host.circuit.execute(attempt) : attempt();
}

async function throughCircuit<T>(host: Host, attempt: () => Promise<T>, name: string): Promise<T> {
  try {
    return await host.circuit.execute(attempt);
  } catch (error) {
    if (!(error instanceof BrokenCircuitError)) throw error;
    throw new Problem(
      'git_host_unavailable',
      `Cannot reach git host "${name}": this source's last request failed, and so did those of others; the next request waits until the host answers or up to 2 minutes`,
      { cause: error },
    );
  }
}

type Faults = {
  breaker: IBreaker;
  /** @param isConnection each connection fault counts; any other fault may be the repository's own, so it counts once per source */
  add(id: string, isConnection: boolean): void;
  clear(): void;
};

/** Counts the faults since the last success of any source. */
function countFaults(): Faults {
  const sources = new Set<string>();
  let connections = 0;
  const clear = () => {
    sources.clear();
    connections = 0;
  };
  const breaker: IBreaker = { state: undefined, success: clear, failure: () => connections + sources.size >= FAULTS_TO_OPEN };
  return {
    breaker,
    add: (id, isConnection) => {
      if (isConnection) connections += 1;
      else if (sources.size < FAULTS_TO_OPEN) sources.add(id);
    },
    clear,
  };
}

function isConnectionFault(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if ('code' in cause && typeof cause.code === 'string' && CONNECTION_FAULTS.has(cause.code)) return true;
  return false;
}
