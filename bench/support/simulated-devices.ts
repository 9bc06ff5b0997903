import { type Program, startProgram } from './processes.ts';
import { type DevicesOrder, DevicesTold } from './programs/devices-messages.ts';

/** Simulated devices in processes of their own, one per order. */
export type SimulatedDevices = AsyncDisposable & {
  pids: number[];
  told(): DevicesTold;
  /** Resolves when what they tell fulfils `wanted`. */
  until(what: string, wanted: (told: DevicesTold) => boolean, timeoutMs: number): Promise<void>;
};

const NOTHING: DevicesTold = { ready: 0, succeeded: 0, failed: 0, troubles: 0, lastTrouble: '' };

export function startDevices(orders: readonly DevicesOrder[], signal: AbortSignal): SimulatedDevices {
  const waiting = new Set<() => void>();
  const groups = orders.map((order) => {
    const program = startProgram('bench/support/programs/devices.ts', { messages: true });
    const group = { program, told: NOTHING };
    program.child.on('message', (message) => {
      group.told = DevicesTold.parse(message);
      for (const look of waiting) look();
    });
    program.child.send(order);
    return group;
  });
  const programs = groups.map(({ program }) => program);
  const told = () => groups.reduce((sum, group) => add(sum, group.told), NOTHING);
  return {
    pids: programs.map(({ pid }) => pid),
    told,
    until: (what, wanted, timeoutMs) =>
      wait(
        programs,
        () => wanted(told()),
        () => `${what}: ${JSON.stringify(told())}`,
        { waiting, timeoutMs, signal },
      ),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(programs.map((program) => program.end()));
    },
  };
}

function add(a: DevicesTold, b: DevicesTold): DevicesTold {
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
      waiting.delete(look);
      for (const { child } of programs) child.off('close', ended);
      signal.removeEventListener('abort', aborted);
      act();
    };
    const look = () => {
      if (fulfilled()) settle(resolve);
    };
    const ended = () =>
      settle(() => reject(new Error(`A process of devices ended:\n${programs.map(({ output }) => output()).join('\n')}`)));
    const aborted = () => settle(() => reject(signal.reason));
    const timer = setTimeout(() => settle(() => reject(new Error(`Waited ${timeoutMs} ms in vain for ${state()}`))), timeoutMs);
    waiting.add(look);
    for (const { child } of programs) child.once('close', ended);
    signal.addEventListener('abort', aborted, { once: true });
    look();
  });
}
