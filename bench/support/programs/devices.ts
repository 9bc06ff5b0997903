import type { z } from 'zod';
import type { SimulationEvent } from '../../../src/simulate/device.ts';
import { runSimulation } from '../../../src/simulate/run.ts';
import { DevicesOrder, type DevicesTold } from './devices-messages.ts';

/** A process full of simulated devices: takes one order, tells how many attempts have ended, until it is told to stop. */

const stop = new AbortController();
process.once('disconnect', () => stop.abort());
process.once('SIGTERM', () => stop.abort());
process.once('message', (message: unknown) => {
  run(DevicesOrder.parse(message)).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exitCode = 1;
  });
});

async function run(order: z.infer<typeof DevicesOrder>): Promise<void> {
  const counts: DevicesTold = { ready: 0, succeeded: 0, failed: 0, troubles: 0, lastTrouble: '' };
  let due = false;
  const tell = (): void => {
    due = false;
    if (process.connected) process.send?.({ ...counts });
  };
  const take = (event: SimulationEvent): void => {
    if (event.kind === 'ready') counts.ready += 1;
    else if (event.kind === 'trouble') [counts.troubles, counts.lastTrouble] = [counts.troubles + 1, event.problem];
    else if (event.state === 'succeeded' || event.state === 'failed') counts[event.state] += 1;
    else return;
    if (due) return;
    due = true;
    setImmediate(tell);
  };
  await runSimulation({ ...order, signal: stop.signal, onState: take });
  if (process.connected) process.disconnect();
}
