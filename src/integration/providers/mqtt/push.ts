import { z } from 'zod';
import type { Json } from '../../../wire/text/json.ts';
import { integrationProblem } from '../../problems.ts';
import type { PreparedPush, Push, PushConfiguration, PushTarget, Verification } from '../../provider.ts';
import { contentsOf } from '../bundle.ts';
import type { MqttConnection } from './connection.ts';
import { parsed, Reported } from './devices.ts';

/** A message on a desired topic. `files`: the whole bundle in base64, where it has no `mqtt.yaml`. */
const Desired = z.object({
  digest: z.string(),
  token: z.string().optional(),
  document: z.json().optional(),
  files: z.array(z.object({ path: z.string(), content: z.string() })).optional(),
});

/** Common brokers allow more, but small devices do not. */
const MAX_BYTES = 1024 * 1024;
/** Time for a published message to come back. */
const ECHO_MS = 5_000;
/** An online device answers at once; others are asked again. */
const REPORT_MS = 1_000;
const ASK_AGAIN_SECONDS = { online: 3, offline: 30 };

/** Sends configuration as the retained message of the device's desired topic. */
export function createPush(connection: MqttConnection): Push {
  return {
    prepare: (target, configuration, signal) => prepare(connection, target, configuration, signal),
    apply: async ({ externalId }, { desired }, token, signal) => {
      await send(connection, externalId, { ...Desired.parse(desired), token }, signal);
      return { token };
    },
    verify: (target, prepared, _receipt, token, signal) => verify(connection, target, prepared, token, signal),
    cancel: async ({ externalId }, { previous }, _receipt, signal) => send(connection, externalId, previous, signal),
  };
}

async function prepare(
  connection: MqttConnection,
  { externalId }: PushTarget,
  { digest, document, files, readFile }: PushConfiguration,
  signal: AbortSignal,
): Promise<PreparedPush> {
  if (/[+#/\0]/.test(externalId) || externalId === '')
    throw integrationProblem('integration_rejected', `Cannot publish to device "${externalId}": its id is no level of a topic`);
  const desired: Json = document === undefined ? { digest, files: await contentsOf({ files, readFile }, MAX_BYTES) } : { digest, document };
  const size = Buffer.byteLength(JSON.stringify(desired));
  if (size > MAX_BYTES)
    throw integrationProblem(
      'integration_rejected',
      `Cannot publish the configuration: its message has ${size} bytes, must be <= ${MAX_BYTES}`,
    );
  await connection.ready(signal);
  const previous = parsed(connection.shown(externalId).desired);
  const before = Desired.safeParse(previous);
  return { desired, previous: before.success ? (previous ?? null) : null, isUnchanged: before.success && before.data.digest === digest };
}

/** Waits until the message comes back, since an acknowledgement does not prove that the broker kept it. null removes it. */
async function send(connection: MqttConnection, device: string, message: Json, signal: AbortSignal): Promise<void> {
  const text = message === null ? '' : JSON.stringify(message);
  await connection.publish(device, 'desired', text, signal);
  const isBack = () => (connection.shown(device).desired ?? '') === text;
  if (await connection.until(isBack, ECHO_MS, signal)) return;
  signal.throwIfAborted();
  throw integrationProblem(
    'integration_timeout',
    `Cannot publish to device "${device}": the message did not come back within ${ECHO_MS} ms; check that the user may read the desired topics`,
  );
}

async function verify(
  connection: MqttConnection,
  { externalId }: PushTarget,
  { desired }: PreparedPush,
  token: string,
  signal: AbortSignal,
): Promise<Verification> {
  await connection.ready(signal);
  const reportOf = () => {
    const report = Reported.safeParse(parsed(connection.shown(externalId).reported));
    return report.success && report.data.token === token ? report.data : undefined;
  };
  await connection.until(() => (reportOf()?.state ?? 'applying') !== 'applying', REPORT_MS, signal);
  const report = reportOf();
  const { digest } = Desired.parse(desired);
  if (report?.state === 'failed') return { is: 'refused', reason: report.detail ?? 'the device could not apply it and named no reason' };
  if (report?.state === 'applied' && report.digest === digest) return { is: 'verified' };
  const isOffline = connection.shown(externalId).status === 'offline';
  return {
    is: 'pending',
    reason: isOffline
      ? 'the device is offline and takes the message when it connects'
      : 'the device has not reported this configuration yet',
    afterSeconds: isOffline ? ASK_AGAIN_SECONDS.offline : ASK_AGAIN_SECONDS.online,
  };
}
