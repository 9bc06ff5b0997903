import { type DevicesOrder, DevicesTold } from './devices-messages.ts';
import { type Program, startProgram } from './processes.ts';

/** Simulated devices in a process of their own. */
export type SimulatedDevices = AsyncDisposable & {
  pid: number;
  told(): DevicesTold;
  /** Resolves when what they tell fulfils `wanted`. */
  until(what: string, wanted: (told: DevicesTold) => boolean, timeoutMs: number): Promise<void>;
};

export function startDevices(order: DevicesOrder, signal: AbortSignal): SimulatedDevices {
  const program = startProgram('bench/support/devices.ts', { messages: true });
  let told: DevicesTold = { ready: 0, succeeded: 0, failed: 0, troubles: 0, lastTrouble: '' };
  const waiting = new Set<() => void>();
  program.child.on('message', (message) => {
    told = DevicesTold.parse(message);
    for (const look of waiting) look();
  });
  program.child.send(order);
  return {
    pid: program.pid,
    told: () => told,
    until: (what, wanted, timeoutMs) =>
      wait(
        program,
        () => wanted(told),
        () => `${what}: ${JSON.stringify(told)}`,
        { waiting, timeoutMs, signal },
      ),
    [Symbol.asyncDispose]: () => program.end(),
  };
}

type Waiting = { waiting: Set<() => void>; timeoutMs: number; signal: AbortSignal };

function wait(program: Program, fulfilled: () => boolean, state: () => string, { waiting, timeoutMs, signal }: Waiting): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      waiting.delete(look);
      program.child.off('close', ended);
      signal.removeEventListener('abort', aborted);
      act();
    };
    const look = () => {
      if (fulfilled()) settle(resolve);
    };
    const ended = () => settle(() => reject(new Error(`The devices' process ended:\n${program.output()}`)));
    const aborted = () => settle(() => reject(signal.reason));
    const timer = setTimeout(() => settle(() => reject(new Error(`Waited ${timeoutMs} ms in vain for ${state()}`))), timeoutMs);
    waiting.add(look);
    program.child.once('close', ended);
    signal.addEventListener('abort', aborted, { once: true });
    look();
  });
}
