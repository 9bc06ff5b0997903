import { randomUUID } from 'node:crypto';
import { createRoute, z } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import type { Command } from '../../command/command.ts';
import { commandOf, pendingCommands } from '../../command/store.ts';
import { DeviceId } from '../../device/device.ts';
import { conflict, notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { body, json, problems } from '../../http/kit.ts';
import { limitBody, limitDepth } from '../../http/limits.ts';
import type { ReportIntake } from '../../report/intake.ts';
import type { DeviceAuth } from '../auth.ts';
import { LegacyCommand, viewLegacyCommand } from '../device/legacy-command.ts';
import { type Env, mount, operation } from '../env.ts';
import { LegacyCommandStatus, LegacyHeartbeat, LegacyMetrics, metricsOf, sampledAt } from './schemas.ts';

type Deps = { store: Store; deviceAuth: DeviceAuth; intake: ReportIntake };

/**
 * The earlier device protocol, for clients in the field: `X-Device-ID` and `X-API-Key`, snake_case. A device reads and changes only its own
 * data. Its reports take the same way as those of the agent.
 */
export const legacyDeviceRoutes = (deps: Deps) =>
  mount(listPending(deps), acknowledge(deps), setStatus(deps), heartbeat(deps), reportMetrics(deps));

const tags = ['Devices in the field'];
const security = [{ deviceId: [], deviceKey: [] }];
const CommandParams = z.object({ device_id: DeviceId, command_id: z.uuid() });
/** Samples in one request: enough for a device that was offline for a working day, at one per 30 s. */
const MAX_SAMPLES = 1_000;

const authenticated = ({ deviceAuth }: Deps): MiddlewareHandler<Env>[] => [deviceAuth.require, limitBody(), limitDepth()];

const listPending = (deps: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/devices/pending',
      tags,
      security,
      middleware: authenticated(deps),
      responses: {
        200: json(z.array(LegacyCommand), 'Commands that wait for the device, oldest first; the request changes nothing'),
        ...problems,
      },
    }),
    async (c) => {
      const { organizationId, deviceId } = c.get('device');
      const commands = await pendingCommands(deps.store.sql, organizationId, deviceId);
      return c.json(commands.map(viewLegacyCommand), 200);
    },
  );

const acknowledge = (deps: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/devices/{device_id}/commands/{command_id}/ack',
      tags,
      security,
      middleware: authenticated(deps),
      request: { params: CommandParams },
      responses: { 200: json(LegacyCommand, 'The device has received the command'), ...problems },
    }),
    async (c) => c.json(viewLegacyCommand(await moveCommand(deps, c.get('device'), c.req.valid('param'), 'sent')), 200),
  );

const setStatus = (deps: Deps) =>
  operation(
    createRoute({
      method: 'put',
      path: '/devices/{device_id}/commands/{command_id}/status',
      tags,
      security,
      middleware: authenticated(deps),
      request: { params: CommandParams, body: body(LegacyCommandStatus) },
      responses: { 200: json(LegacyCommand, 'The command with its result'), ...problems },
    }),
    async (c) => {
      const { status, result } = c.req.valid('json');
      return c.json(viewLegacyCommand(await moveCommand(deps, c.get('device'), c.req.valid('param'), status, result)), 200);
    },
  );

const heartbeat = (deps: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/agent/heartbeat',
      tags,
      security,
      middleware: authenticated(deps),
      request: { body: body(LegacyHeartbeat) },
      responses: {
        200: json(z.object({ status: z.literal('ok'), device_id: z.string(), timestamp: z.iso.datetime() }), 'Received'),
        ...problems,
      },
    }),
    async (c) => {
      const { organizationId, deviceId } = c.get('device');
      demandOwn(deviceId, c.req.valid('json').device_id);
      // A heartbeat shows that the device is online. It says nothing about the bundle that the device runs.
      await deps.intake.take(organizationId, deviceId, []);
      return c.json({ status: 'ok' as const, device_id: deviceId, timestamp: new Date().toISOString() }, 200);
    },
  );

const reportMetrics = (deps: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/analytics/device-metrics',
      tags,
      security,
      middleware: authenticated(deps),
      request: { body: body(z.union([LegacyMetrics, z.array(LegacyMetrics).min(1).max(MAX_SAMPLES)])) },
      responses: { 201: json(z.object({ accepted: z.number().int() }), 'Stored as telemetry'), ...problems },
    }),
    async (c) => {
      const { organizationId, deviceId } = c.get('device');
      const samples = [c.req.valid('json')].flat();
      for (const sample of samples) demandOwn(deviceId, sample.device_id);
      await deps.intake.take(organizationId, deviceId, telemetryReports(samples, new Date()));
      return c.json({ accepted: samples.length }, 201);
    },
  );

type DeviceIdentity = { organizationId: string; deviceId: string };

/** Moves a command to the state that its device reports. @throws Problem `not_found`, `command_closed` when it ended otherwise */
async function moveCommand(
  { store: { sql }, intake }: Deps,
  { organizationId, deviceId }: DeviceIdentity,
  { device_id, command_id: commandId }: z.output<typeof CommandParams>,
  state: 'sent' | 'completed' | 'failed',
  result?: unknown,
): Promise<Command> {
  const find = async () => {
    const command = device_id === deviceId ? await commandOf(sql, organizationId, deviceId, commandId) : undefined;
    if (command === undefined) throw notFound('command', commandId);
    return command;
  };
  await find();
  const report = { kind: 'command' as const, id: randomUUID(), at: new Date().toISOString(), commandId, state, result };
  await intake.take(organizationId, deviceId, [report]);
  const command = await find();
  const reached = command.state === state || (state === 'sent' && (command.state === 'completed' || command.state === 'failed'));
  if (!reached) throw conflict('command_closed', `Cannot move command "${commandId}" to "${state}": it is ${command.state}`);
  return command;
}

/** @throws Problem `not_found`, as for an unknown device */
function demandOwn(deviceId: string, named: string | undefined): void {
  if (named !== undefined && named !== deviceId) throw notFound('device', named);
}

/** Oldest first. A device has one sample per moment, so that samples of the same moment are set a millisecond apart. */
export function telemetryReports(samples: readonly LegacyMetrics[], now: Date) {
  const taken = new Set<number>();
  const reports = samples.toReversed().map((sample) => {
    let at = sampledAt(sample, now).getTime();
    while (taken.has(at)) at -= 1;
    taken.add(at);
    return { kind: 'telemetry' as const, id: randomUUID(), at: new Date(at).toISOString(), metrics: metricsOf(sample) };
  });
  return reports.reverse();
}
