import type { Proxies } from '../wire/proxies.ts';
import { type Behaviour, behaviourOf } from './behaviour.ts';
import { openConnections } from './connection.ts';
import { type DeviceKey, runDevice, type SimulationEvent } from './device.ts';
import { createTrust } from './trust.ts';

/** By default, the devices have no faults. */
export type SimulationOptions = Partial<Behaviour> & {
  /** Address of the service, for example `http://127.0.0.1:8080`. */
  server: string;
  /** From the environment. */
  proxies?: Proxies;
  devices: readonly DeviceKey[];
  signal: AbortSignal;
  onState?: (event: SimulationEvent) => void;
};

/** Devices that connect at once. More would overflow the service's queue of new connections, and each lost one costs a second. */
const STARTING_AT_ONCE = 100;

/**
 * Runs many light devices in this process against `/agent/v1` of a service, until the signal fires. Each has its own connection, and so needs a
 * file descriptor. The devices verify the desired state and fetch its bundle, but write nothing.
 * @throws Problem `invalid_request`, `invalid_behaviour`
 */
export async function runSimulation(options: SimulationOptions): Promise<void> {
  const { server, proxies, devices, signal, onState = () => {}, ...given } = options;
  const behaviour = behaviourOf(given);
  const connections = openConnections(server, proxies);
  const start = createStart(devices.length);
  const shared = { connections, trust: createTrust(behaviour), behaviour };
  // One signal per device: a signal with thousands of listeners is slow to add and remove them.
  const stops = new Set<AbortController>();
  const stopAll = () => {
    for (const stop of stops) stop.abort(signal.reason);
    start.release();
  };
  signal.addEventListener('abort', stopAll, { once: true });
  const lane = async (device: DeviceKey): Promise<void> => {
    const turn = await start.turn();
    if (signal.aborted) return;
    const stop = new AbortController();
    stops.add(stop);
    const begun = (event: SimulationEvent): void => {
      if (event.kind !== 'deployment') turn.done();
      onState(event);
    };
    await runDevice(device, { ...shared, onState: begun }, stop.signal).finally(() => stops.delete(stop));
  };
  try {
    await Promise.all(devices.map(lane));
  } finally {
    signal.removeEventListener('abort', stopAll);
    stopAll();
    await connections.close();
  }
}

/** Limits the devices that connect at once. The next one starts after an answer to an earlier one, good or bad. */
function createStart(total: number) {
  const waiting: (() => void)[] = [];
  let free = Math.min(total, STARTING_AT_ONCE);
  const next = () => {
    const waiter = waiting.shift();
    if (waiter === undefined) free += 1;
    else waiter();
  };
  return {
    async turn(): Promise<{ done(): void }> {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      let over = false;
      return {
        done: () => {
          if (over) return;
          over = true;
          next();
        },
      };
    },
    release: () => {
      for (const waiter of waiting.splice(0)) waiter();
    },
  };
}
