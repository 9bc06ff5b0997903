import { FAULT_POINTS } from '../../agent/faults.ts';
import { checkCut, type Verdicts } from './checks.ts';
import { SERVICE_FAULTS } from './service-points.ts';
import { pause, within } from './wait.ts';
import type { World } from './world.ts';

export const VICTIMS = [
  'service',
  'service',
  'service',
  'service_point',
  'database',
  'power',
  'agent',
  'agent',
  'agent',
  'agents',
  'point',
] as const;
export type Victim = (typeof VICTIMS)[number];

/** Time in which a service ends by itself after the loss of its own database, ms. */
const NOTICE_MS = 60_000;
/** Wait for a fault point that the pushes may never reach, ms. */
const POINT_MS = 5_000;

/** Kills one of the processes with SIGKILL, and restarts it after a moment. */
export async function killOne(world: World, victim: Victim, verdicts: Verdicts): Promise<void> {
  const { service, random } = world;
  switch (victim) {
    case 'service':
      await service.kill();
      await pause(random.between(0, 300));
      return service.start();
    case 'service_point':
      await service.kill();
      await service.startUntil(random.pick(SERVICE_FAULTS));
      await within(POINT_MS, async () => service.hasEnded());
      await service.kill();
      return service.start();
    case 'database': {
      const pid = await service.killDatabase();
      const ended = await within(NOTICE_MS, async () => service.hasEnded());
      const lines = ended ? '' : await service.lastLines();
      verdicts.must(ended, () => `the service goes on without its database (process ${pid}); its last lines:\n${lines}`);
      await service.kill();
      return service.start();
    }
    case 'power':
      await Promise.all([service.kill(), service.killDatabase()]);
      await pause(random.between(0, 300));
      return service.start();
    case 'agent':
      return killAgents(world, [random.pick([...world.devices.keys()])], verdicts);
    case 'agents':
      return killAgents(world, [...world.devices.keys()], verdicts);
    case 'point':
      return killAgents(world, [random.pick([...world.devices.keys()])], verdicts, random.pick(FAULT_POINTS));
    default:
      victim satisfies never;
  }
}

/** Checks `current` while no agent can repair it. With a fault, the agent's power is cut again at that point. */
async function killAgents(world: World, ids: readonly string[], verdicts: Verdicts, fault?: string): Promise<void> {
  const pauseMs = world.random.between(0, 500);
  await Promise.all(
    ids.map(async (id) => {
      const device = world.devices.get(id)!;
      await device.kill();
      await checkCut(world, device, verdicts);
      await pause(pauseMs);
      device.start(fault);
    }),
  );
}
