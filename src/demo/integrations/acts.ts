import { z } from 'zod';
import { pause } from '../../async/pause.ts';
import { demand, isStep, rolloutOf } from '../observe.ts';
import type { Output } from '../output.ts';
import { commitAndPush } from '../stack/repositories.ts';
import { createSource } from '../stack/stack.ts';
import { ASK_MS, createIntegration, firstSync, METERS, type Platforms, sync, TABLETS } from './platforms.ts';

export type Observed = { imported: number; exported: number; conflicts: number; resolved: number; configured: number; rolledBack: number };

const Device = z.object({ id: z.string(), name: z.string(), syncStatus: z.string(), sourceKind: z.string() });
const Assignment = z.object({ deviceId: z.string(), externalId: z.string().nullable() });
const Conflict = z.object({ id: z.string(), deviceId: z.string(), field: z.string(), local: z.unknown(), remote: z.unknown() });
const Page = <T extends z.ZodType>(item: T) => z.array(item);

/** Step 1: the devices of two platforms appear. @throws Problem `demo_incomplete` */
export async function importDevices(platforms: Platforms, out: Output, observed: Observed): Promise<void> {
  const { api, golioth, mobivisor } = platforms;
  out.heading('1  Devices of two platforms appear here');
  const both = { direction: 'both', strategy: 'manual' };
  const wanted = { type: 'golioth', name: 'Meters', settings: golioth.settings, credentials: golioth.credentials, ...both };
  await firstSync(platforms, await createIntegration(platforms, wanted));
  const settings = { ...mobivisor.settings, proofSeconds: 0 };
  const { credentials } = mobivisor;
  await firstSync(platforms, await createIntegration(platforms, { type: 'mobivisor', name: 'Tablets', settings, credentials }));
  const devices = Page(Device).parse(await api.list('/devices', {}, 1_000));
  observed.imported = devices.filter(({ sourceKind }) => sourceKind === 'EXTERNAL').length;
  demand(observed.imported === METERS + TABLETS, `${METERS + TABLETS} devices imported (${observed.imported})`);
  out.good(`${METERS} meters of Golioth and ${TABLETS} tablets of Mobivisor are devices here, with their state`);
}

/** Step 2: a device that is registered here appears at the platform, and so does an edit. @throws Problem `demo_incomplete` */
export async function exportDevice(platforms: Platforms, out: Output, observed: Observed): Promise<void> {
  const { api, golioth } = platforms;
  out.heading('2  A device that is registered here appears at Golioth');
  await api.send('POST', '/devices', { id: 'meter-new', name: 'Meter in the attic', type: 'meter' });
  await api.send('POST', '/integrations/golioth/assignments', { deviceId: 'meter-new' });
  const externalId = await untilAssigned(platforms, 'meter-new');
  demand(golioth.shown(externalId)?.name === 'Meter in the attic', 'the new device at the platform');
  observed.exported += 1;
  await api.send('PATCH', '/devices/meter-5', { name: 'Meter 5, north wing' });
  await sync(platforms, 'golioth');
  demand(golioth.shown(await externalIdOf(platforms, 'meter-5'))?.name === 'Meter 5, north wing', 'the new name at the platform');
  observed.exported += 1;
  out.good('it was created there, and a new name that was given here is shown there');
}

/** Step 3: both sides change one field; a person decides. @throws Problem `demo_incomplete` */
export async function resolveConflict(platforms: Platforms, out: Output, observed: Observed): Promise<void> {
  const { api, golioth } = platforms;
  out.heading('3  Both sides change the name of one device');
  const externalId = await externalIdOf(platforms, 'meter-1');
  golioth.change(externalId, { name: 'Renamed in the console', tags: ['roof'] });
  await api.send('PATCH', '/devices/meter-1', { name: 'Renamed here' });
  await sync(platforms, 'golioth');
  const [conflict] = Page(Conflict).parse(await api.list('/conflicts', { state: 'open' }, 10));
  if (conflict === undefined) return demand(false, 'a conflict');
  observed.conflicts += 1;
  out.bad(
    `conflict about "${conflict.field}" of ${conflict.deviceId}: ${JSON.stringify(conflict.local)} here, ${JSON.stringify(conflict.remote)} there`,
  );
  await api.send('POST', `/conflicts/${conflict.id}/resolve`, { choice: 'local' });
  await until(platforms, 'the chosen name at the platform', async () => golioth.shown(externalId)?.name === 'Renamed here');
  observed.resolved += 1;
  out.good('the name of this side was chosen and is shown there; the tag that was added there was taken over meanwhile');
}

const CONFIGURED = ['meter-0', 'meter-1', 'meter-2', 'tablet-0'];

/** Step 4: a commit reaches devices of both platforms. @throws Problem `demo_incomplete` */
export async function configure(platforms: Platforms, out: Output, observed: Observed): Promise<void> {
  const { api, golioth, repository } = platforms;
  out.heading('4  A commit configures devices of both platforms');
  using recording = platforms.feed.record();
  const sourceId = await createSource(platforms, repository);
  for (const id of CONFIGURED) {
    await api.send('PATCH', `/devices/${id}`, { sourceId, path: `devices/${id}` });
    await api.send('POST', `/devices/${id}/start`);
  }
  await Promise.all(CONFIGURED.map((id) => recording.find(`the configuration of ${id}`, isStep(id, 'succeeded'))));
  observed.configured = CONFIGURED.length;
  const meter = await settingOf(platforms, 'meter-0', 'REPORT_SECONDS');
  demand(meter === 60, `REPORT_SECONDS of meter-0 at the platform (${String(meter)})`);
  const { syncStatus } = Device.parse(await api.get('/devices/tablet-0'));
  demand(syncStatus === 'unverified', `tablet-0 applied and unverified (${syncStatus})`);
  out.good(`3 meters report their new settings (${golioth.requests.length} requests so far)`);
  out.good('tablet-0 got its feature controls; the platform cannot show what it runs, so that its state is "unverified"');
}

/** Step 5: a device refuses a value and gets back what it had. @throws Problem `demo_incomplete` */
export async function rollBack(platforms: Platforms, out: Output, observed: Observed): Promise<void> {
  const { golioth, repository, feed } = platforms;
  out.heading('5  A commit that validates, but a device refuses it');
  golioth.behave(await externalIdOf(platforms, 'meter-0'), { refuses: ['REPORT_SECONDS'] });
  using recording = feed.record();
  const file = 'devices/meter-0/golioth.yaml';
  const pushed = await commitAndPush(repository, 'Report rarely', [{ file, from: 'REPORT_SECONDS: 60', to: 'REPORT_SECONDS: 86400' }]);
  const rolloutId = await rolloutOf(recording, repository.name, pushed.commit);
  const { event } = await recording.find('the refusal of meter-0', isStep('meter-0', 'failed', rolloutId));
  await recording.find('the rollback of meter-0', isStep('meter-0', 'rolled_back', rolloutId));
  const setting = await settingOf(platforms, 'meter-0', 'REPORT_SECONDS');
  demand(setting === 60, `REPORT_SECONDS of meter-0 as it was before (${String(setting)})`);
  observed.rolledBack += 1;
  out.bad(`meter-0: ${String(event.data.detail).replaceAll('\n', ' ')}`);
  out.good('meter-0 has its earlier settings again');
}

async function externalIdOf({ api }: Platforms, deviceId: string): Promise<string> {
  const all = Page(Assignment).parse(await api.list('/integrations/golioth/assignments', {}, 1_000));
  const found = all.find((one) => one.deviceId === deviceId)?.externalId;
  if (found == null) return demandText(`the assignment of ${deviceId}`);
  return found;
}

async function untilAssigned(platforms: Platforms, deviceId: string): Promise<string> {
  let externalId = '';
  await until(platforms, `${deviceId} at the platform`, async () => {
    const all = Page(Assignment).parse(await platforms.api.list('/integrations/golioth/assignments', {}, 1_000));
    externalId = all.find((one) => one.deviceId === deviceId)?.externalId ?? '';
    return externalId !== '';
  });
  return externalId;
}

/** The value that the device has of its own at the platform. */
async function settingOf(platforms: Platforms, deviceId: string, key: string): Promise<unknown> {
  const externalId = await externalIdOf(platforms, deviceId);
  return platforms.golioth.project.settings.find((setting) => setting.deviceId === externalId && setting.key === key)?.value;
}

const UNTIL_MS = 60_000;

/** @throws Problem `demo_incomplete` */
async function until({ signal }: Platforms, what: string, holds: () => Promise<boolean>): Promise<void> {
  const endsAt = performance.now() + UNTIL_MS;
  while (!(await holds())) {
    signal.throwIfAborted();
    demand(performance.now() < endsAt, what);
    await pause(ASK_MS, signal);
  }
}

function demandText(what: string): never {
  demand(false, what);
  throw new Error(what);
}
