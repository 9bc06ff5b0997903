import type { z } from 'zod';
import type { SimulationEvent } from '../../../src/simulate/device.ts';
import { runSimulation } from '../../../src/simulate/run.ts';
import { type DevicesCounts, DevicesOrder } from './devices-messages.ts';

/** A process of simulated devices. It accepts one order, and sends the counts of ended attempts until it is stopped. */

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
  const counts: DevicesCounts = { ready: 0, succeeded: 0, failed: 0, troubles: 0, lastTrouble: '' };
  let due = false;
  const send = (): void => {
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
    setImmediate(send);
  };
  await runSimulation({ ...order, signal: stop.signal, onState: take });
  if (process.connected) process.disconnect();
}
