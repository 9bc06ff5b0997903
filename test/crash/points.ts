import { isDeepStrictEqual } from 'node:util';
import type { FaultPoint } from '../../agent/faults.ts';
import type { DeviceStatus, Verdicts } from './checks.ts';
import { FOLDERS, REFUSING, released } from './fleet.ts';
import { within } from './wait.ts';
import type { World } from './world.ts';

/** Points after a failed health check. */
const ROLLING_BACK = [
  'before_failure',
  'after_failure',
  'before_swap_back',
  'after_swap_back',
  'after_back_hook',
  'before_rolled_back',
  'after_rolled_back',
];
/** Points before the enrolment of a device. */
const ENROLLING = ['before_identity', 'after_identity'];

const CUT_MS = 90_000;
const SETTLE_MS = 180_000;

/** Cuts a device's power at a named point during a deployment by the real service. The deployment must end as without the cut. */
export async function cutAt(world: World, point: FaultPoint, verdicts: Verdicts): Promise<void> {
  if (ENROLLING.includes(point)) return cutEnrolment(world, point, verdicts);
  const { must } = verdicts;
  const device = world.devices.get(REFUSING)!;
  const folder = FOLDERS.filter((one) => one.device === REFUSING);
  const rollsBack = ROLLING_BACK.includes(point);
  const before = await device.current();
  const cuts = device.cuts();
  await device.kill();
  device.start(point);
  await world.pushes.push('fleet', rollsBack ? 'unhealthy' : 'good', folder);
  await world.pushes.delivered();
  const cut = await within(CUT_MS, async () => device.cuts() > cuts);
  must(cut, () => `${point} was never reached`);
  const wanted = rollsBack ? before : released(world.pushes.config(REFUSING)!);
  const end = rollsBack ? 'rolled_back' : 'succeeded';
  const status = () => world.service.api<DeviceStatus>('GET', `/devices/${REFUSING}/status`);
  const state = async () => (await status()).deployment?.state;
  const { commit } = world.pushes.head('fleet')!;
  const arrived = async () => (await status()).source.headCommit === commit;
  const settled = await within(
    SETTLE_MS,
    async () => (await arrived()) && (await state()) === end && isDeepStrictEqual(await device.current(), wanted),
  );
  const last = settled ? end : await state();
  must(settled, () => `cut at ${point}: its deployment is ${last}, must be ${end} with the ${rollsBack ? 'old' : 'new'} release`);
}

async function cutEnrolment(world: World, point: string, { must }: Verdicts): Promise<void> {
  const { service } = world;
  const { token } = await service.api<{ token: string }>('POST', '/enrolment-tokens', { uses: 1 });
  const id = `new-${point.replace('_', '-')}`;
  const device = await world.addDevice(id, ['--enroll', token]);
  device.start(point);
  const cut = await within(CUT_MS, async () => device.cuts() === 1);
  must(cut, () => `${point} was never reached`);
  const online = await within(
    SETTLE_MS,
    async () => (await service.api<{ connectivity: string }>('GET', `/devices/${id}`)).connectivity === 'online',
  );
  must(online, () => `cut at ${point}: the device does not come online`);
}
