import { audit } from '../audit/store.ts';
import { hashToken } from '../crypto/tokens.ts';
import { emitStanding } from '../device/events.ts';
import { machineOf } from '../device/instance.ts';
import { type Sender, setInstance } from '../device/instances-store.ts';
import {
  forgetReenrolment,
  noteRequest,
  type RegisteredDevice,
  reenrolmentOf,
  registeredDevice,
  resetForEnrolment,
  takeTokenUse,
} from '../device/reenrolment-store.ts';
import { announceEndedKeys, reclaimEnrolment, useEnrolmentToken } from '../device/store/keys.ts';
import { deviceById } from '../device/store.ts';
import { Problem } from '../errors.ts';
import { type Store, transact, type Unit } from '../event/transact.ts';
import { deploy } from '../rollout/converge.ts';
import type { EnrollRequest } from '../wire/agent.ts';
import { mintKey, registerDevice } from './register.ts';

type Enrolled = { organizationId: string; apiKey: string };

/** Pause between two requests of a device that waits for admission. */
const ASK_AGAIN_SECONDS = 15;

/**
 * Registers the device with its first key. It admits a registered device again with a new key, where its token or an operator allows that.
 * @throws Problem `unauthorized`; `reenrolment_required` (409), which an event and `why` report to operators
 */
export async function enrollDevice(store: Store, token: string, wanted: EnrollRequest, sender: Sender): Promise<Enrolled> {
  const enrolled = await transact(store, async (unit) => {
    const hash = hashToken(token);
    const reclaimed = await reclaimEnrolment(unit.tx, hash, wanted.deviceId, machineOf(sender.instance));
    if (reclaimed !== undefined) return { ...reclaimed, apiKey: await mintKey(unit, reclaimed.organizationId, wanted.deviceId) };
    const registered = await registeredDevice(unit.tx, hash, wanted.deviceId);
    if (registered !== undefined) return enrollAgain(unit, registered, wanted.deviceId, sender);
    const enrolledNew = await enrollNew(unit, hash, wanted);
    await setInstance(unit.tx, enrolledNew.organizationId, wanted.deviceId, sender.instance);
    return enrolledNew;
  });
  if (enrolled !== null) return enrolled;
  const { deviceId: id } = wanted;
  throw new Problem(
    'reenrolment_required',
    `Cannot enrol "${id}": a device of that id is registered. If this is that device, an operator can allow it with \`devices reenrol ${id}\` (POST /api/v1/devices/${id}/reenrolment); the agent retries until then. If not, choose another id`,
    { retryAfterSeconds: ASK_AGAIN_SECONDS },
  );
}

async function enrollNew(unit: Unit, hash: Buffer, wanted: EnrollRequest): Promise<Enrolled> {
  const grant = await useEnrolmentToken(unit.tx, hash);
  if (grant === undefined) throw new Problem('unauthorized', 'Cannot enrol: the enrolment token is unknown, used up or expired');
  const apiKey = await registerDevice(unit, {
    organizationId: grant.organizationId,
    id: wanted.deviceId,
    name: wanted.name ?? wanted.deviceId,
    type: wanted.type ?? 'device',
    // The token's labels take precedence over the device's own.
    labels: { ...wanted.labels, ...grant.labels },
    siteId: grant.siteId,
    adapter: 'agent',
    simulated: wanted.simulated ?? false,
    sourceId: grant.sourceId,
    following: grant.sourceId !== null,
    enrolmentTokenId: grant.id,
  });
  return { organizationId: grant.organizationId, apiKey };
}

/** @returns null when neither an operator nor the token allows it; the request is then recorded, and a new one is emitted as an event */
async function enrollAgain(unit: Unit, registered: RegisteredDevice, deviceId: string, sender: Sender): Promise<Enrolled | null> {
  const { organizationId } = registered;
  const machine = machineOf(sender.instance);
  const asked = await reenrolmentOf(unit.tx, organizationId, deviceId);
  const isAllowed =
    asked?.allowedUntil != null && asked.allowedUntil > new Date() && (asked.allowedMachine === null || asked.allowedMachine === machine);
  const subject = `device:${deviceId}`;
  if (!isAllowed && !registered.admitsRegistered) {
    const isNew = await noteRequest(unit.tx, organizationId, deviceId, { machine, address: sender.address });
    const device = await deviceById(unit.tx, organizationId, deviceId);
    const detail = `a machine at ${sender.address} requests to enrol as this device and waits for an operator`;
    const data = { detail, machine, address: sender.address, lastSeenAt: device?.lastSeenAt?.toISOString() ?? null };
    if (isNew) unit.emit({ organizationId, type: 'device.reenrolment_requested', subject, data });
    return null;
  }
  if (!registered.isOwnToken) await takeTokenUse(unit.tx, organizationId, registered.tokenId);
  const anew = await resetForEnrolment(unit.tx, organizationId, deviceId, registered.tokenId);
  if (anew !== undefined) emitStanding(unit, 'device.status', anew);
  await setInstance(unit.tx, organizationId, deviceId, sender.instance);
  await forgetReenrolment(unit.tx, organizationId, deviceId);
  const apiKey = await mintKey(unit, organizationId, deviceId);
  await announceEndedKeys(unit.tx);
  const allowedBy = isAllowed ? (asked.allowedBy ?? 'an operator') : `enrolment token ${registered.tokenId}`;
  unit.emit({ organizationId, type: 'device.reenrolled', subject, data: { allowedBy, machine, address: sender.address } });
  const detail = { allowedBy, tokenId: registered.tokenId, machine, address: sender.address };
  await audit(unit.tx, { organizationId, actor: subject, action: 'device.reenrol', subject, outcome: 'ok', detail });
  await deployAgain(unit, organizationId, deviceId);
  return { organizationId, apiKey };
}

/** Deploys the desired bundle again, since the device runs none after its enrolment. */
async function deployAgain(unit: Unit, organizationId: string, deviceId: string): Promise<void> {
  const device = await deviceById(unit.tx, organizationId, deviceId);
  if (device?.desiredBundle == null || !device.following) return;
  const target = { deviceId, bundle: device.desiredBundle, revisionId: device.desiredRevisionId };
  await deploy(unit, organizationId, [target], { kind: 'heal', force: true });
}
