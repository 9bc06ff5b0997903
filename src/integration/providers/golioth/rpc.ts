import { z } from 'zod';
import { type Json, JsonValue } from '../../../wire/text/json.ts';
import type { CommandOutcome, PushTarget, VendorCommand } from '../../provider.ts';
import { type Golioth, projectPath } from './api.ts';

const Outcome = z.object({ statusCode: z.number().int().default(0), detail: JsonValue.optional() });

/** Codes of gRPC that a call of a device ends with. */
const REASONS: Readonly<Record<number, string>> = {
  1: 'cancelled',
  3: 'the device does not accept the parameters',
  4: 'the device did not answer in time',
  5: 'the device does not know the thing',
  12: 'the device does not know the method',
  13: 'the device failed',
  14: 'the device is not connected',
};

/** Calls a method of the device, which must be online: the platform answers with the device's own result. @param methods method of each command type */
export async function callDevice(
  golioth: Golioth,
  methods: Readonly<Record<string, string>>,
  { externalId }: PushTarget,
  { type, payload }: VendorCommand,
  signal: AbortSignal,
): Promise<CommandOutcome> {
  const params: Json = Array.isArray(payload.params) ? payload.params : Object.keys(payload).length === 0 ? [] : [payload];
  const path = projectPath(golioth, 'devices', externalId, 'rpc');
  const call = {
    doing: `call "${type}" on the device`,
    method: 'POST',
    path,
    body: { method: methods[type] ?? type, params },
    signal,
  } as const;
  const { statusCode, detail = null } = await golioth.read(call, Outcome);
  if (statusCode === 0) return { state: 'completed', result: { detail } };
  return { state: 'failed', result: { statusCode, reason: REASONS[statusCode] ?? `code ${statusCode}`, detail } };
}
