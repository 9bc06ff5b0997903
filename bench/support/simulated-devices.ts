import { type Program, startProgram } from './processes.ts';
import { DevicesCounts, type DevicesOrder } from './programs/devices-messages.ts';

/** Simulated devices in separate processes, one per order. */
export type SimulatedDevices = AsyncDisposable & {
  pids: number[];
  counts(): DevicesCounts;
  /** Resolves when the counts fulfil `wanted`. */
  until(what: string, wanted: (counts: DevicesCounts) => boolean, timeoutMs: number): Promise<void>;
};

const NOTHING: DevicesCounts = { ready: 0, succeeded: 0, failed: 0, troubles: 0, lastTrouble: '' };

export function startDevices(orders: readonly DevicesOrder[], signal: AbortSignal): SimulatedDevices {
  const waiting = new Set<() => void>();
  const groups = orders.map((order) => {
    const program = startProgram('bench/support/programs/devices.ts', { messages: true });
    const group = { program, counts: NOTHING };
    program.child.on('message', (message) => {
      group.counts = DevicesCounts.parse(message);
      for (const check of waiting) check();
    });
    program.child.send(order);
    return group;
  });
  const programs = groups.map(({ program }) => program);
  const counts = () => groups.reduce((sum, group) => add(sum, group.counts), NOTHING);
  return {
    pids: programs.map(({ pid }) => pid),
    counts,
    until: (what, wanted, timeoutMs) =>
      wait(
        programs,
        () => wanted(counts()),
        () => `${what}: ${JSON.stringify(counts())}`,
        { waiting, timeoutMs, signal },
      ),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(programs.map((program) => program.end()));
    },
  };
}

function add(a: DevicesCounts, b: DevicesCounts): DevicesCounts {
  return {
    ready: a.ready + b.ready,
    succeeded: a.succeeded + b.succeeded,
    failed: a.failed + b.failed,
    troubles: a.troubles + b.troubles,
    lastTrouble: b.lastTrouble === '' ? a.lastTrouble : b.lastTrouble,
  };
}

type Waiting = { waiting: Set<() => void>; timeoutMs: number; signal: AbortSignal };

function wait(
  programs: readonly Program[],
  fulfilled: () => boolean,
  state: () => string,
  { waiting, timeoutMs, signal }: Waiting,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      waiting.delete(check);
      for (const { child } of programs) child.off('close', ended);
      signal.removeEventListener('abort', aborted);
      act();
    };
    const check = () => {
      if (fulfilled()) settle(resolve);
    };
    const ended = () =>
      settle(() => reject(new Error(`A process of devices ended:\n${programs.map(({ output }) => output()).join('\n')}`)));
    const aborted = () => settle(() => reject(signal.reason));
    const timer = setTimeout(() => settle(() => reject(new Error(`Waited ${timeoutMs} ms in vain for ${state()}`))), timeoutMs);
    waiting.add(check);
    for (const { child } of programs) child.once('close', ended);
    signal.addEventListener('abort', aborted, { once: true });
    check();
  });
}
