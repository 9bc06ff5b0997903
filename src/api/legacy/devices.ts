import { randomUUID } from 'node:crypto';
import { createRoute, z } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import type { Command } from '../../command/command.ts';
import { commandOf, pendingCommands } from '../../command/store.ts';
import { DeviceId } from '../../device/device.ts';
import { conflict, notFound } from '../../errors.ts';
import { body, json, problems } from '../../http/kit.ts';
import { limitBody, limitDepth } from '../../http/limits.ts';
import { SeedCommand, viewSeedCommand } from '../device/legacy-command.ts';
import { createApi, type Env } from '../env.ts';
import type { Services } from '../services.ts';
import { metricsOf, SeedCommandStatus, SeedHeartbeat, SeedMetrics, sampledAt } from './schemas.ts';

const tags = ['Devices in the field'];
const CommandParams = z.object({ device_id: DeviceId, command_id: z.uuid() });
/** Samples in one request: a device that was cut off for a working day at one per 30 s. */
const MAX_SAMPLES = 1_000;

/**
 * The older device protocol, for clients in the field: `X-Device-ID` and `X-API-Key`, snake_case. A device sees and touches only what is its
 * own. All that devices say goes the way of every report.
 */
export function seedDeviceRoutes({ store, deviceAuth, intake }: Services) {
  const { sql } = store;
  const middleware: MiddlewareHandler<Env>[] = [deviceAuth.require, limitBody(), limitDepth()];
  const security = [{ deviceId: [], deviceKey: [] }];

  /** Moves a command on by the device's word. @throws Problem `not_found`, `command_closed` when it ended otherwise */
  const move = async (
    identity: { organizationId: string; deviceId: string },
    { device_id, command_id }: z.output<typeof CommandParams>,
    state: 'sent' | 'completed' | 'failed',
    result?: unknown,
  ): Promise<Command> => {
    const { organizationId, deviceId } = identity;
    const find = async () => (device_id === deviceId ? await commandOf(sql, organizationId, deviceId, command_id) : undefined);
    if ((await find()) === undefined) throw notFound('command', command_id);
    const report = { kind: 'command' as const, id: randomUUID(), at: new Date().toISOString(), commandId: command_id, state, result };
    await intake.take(organizationId, deviceId, [report]);
    const command = await find();
    if (command === undefined) throw notFound('command', command_id);
    const reached = command.state === state || (state === 'sent' && (command.state === 'completed' || command.state === 'failed'));
    if (!reached) throw conflict('command_closed', `Cannot move command "${command_id}" to "${state}": it is ${command.state}`);
    return command;
  };

  return createApi()
    .openapi(
      createRoute({
        method: 'get',
        path: '/devices/pending',
        tags,
        security,
        middleware,
        responses: {
          200: json(z.array(SeedCommand), 'Commands that wait for the device, oldest first; asking changes nothing'),
          ...problems,
        },
      }),
      async (c) => {
        const { organizationId, deviceId } = c.get('device');
        return c.json((await pendingCommands(sql, organizationId, deviceId)).map(viewSeedCommand), 200);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/devices/{device_id}/commands/{command_id}/ack',
        tags,
        security,
        middleware,
        request: { params: CommandParams },
        responses: { 200: json(SeedCommand, 'The device has it'), ...problems },
      }),
      async (c) => c.json(viewSeedCommand(await move(c.get('device'), c.req.valid('param'), 'sent')), 200),
    )
    .openapi(
      createRoute({
        method: 'put',
        path: '/devices/{device_id}/commands/{command_id}/status',
        tags,
        security,
        middleware,
        request: { params: CommandParams, body: body(SeedCommandStatus) },
        responses: { 200: json(SeedCommand, 'What became of it'), ...problems },
      }),
      async (c) => {
        const { status, result } = c.req.valid('json');
        return c.json(viewSeedCommand(await move(c.get('device'), c.req.valid('param'), status, result)), 200);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/agent/heartbeat',
        tags,
        security,
        middleware,
        request: { body: body(SeedHeartbeat) },
        responses: {
          200: json(z.object({ status: z.literal('ok'), device_id: z.string(), timestamp: z.iso.datetime() }), 'Heard'),
          ...problems,
        },
      }),
      async (c) => {
        const { organizationId, deviceId } = c.get('device');
        demandOwn(deviceId, c.req.valid('json').device_id);
        // It says that the device is there, and nothing about what it runs.
        await intake.take(organizationId, deviceId, []);
        return c.json({ status: 'ok' as const, device_id: deviceId, timestamp: new Date().toISOString() }, 200);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/analytics/device-metrics',
        tags,
        security,
        middleware,
        request: { body: body(z.union([SeedMetrics, z.array(SeedMetrics).min(1).max(MAX_SAMPLES)])) },
        responses: { 201: json(z.object({ accepted: z.number().int() }), 'Kept as telemetry'), ...problems },
      }),
      async (c) => {
        const { organizationId, deviceId } = c.get('device');
        const samples = [c.req.valid('json')].flat();
        for (const sample of samples) demandOwn(deviceId, sample.device_id);
        await intake.take(organizationId, deviceId, telemetryReports(samples, new Date()));
        return c.json({ accepted: samples.length }, 201);
      },
    );
}

/** @throws Problem `not_found`, as for a device that is not there */
function demandOwn(deviceId: string, named: string | undefined): void {
  if (named !== undefined && named !== deviceId) throw notFound('device', named);
}

/** Oldest first. Samples of one moment are put a millisecond apart: a device has one sample per moment. */
export function telemetryReports(samples: readonly SeedMetrics[], now: Date) {
  const taken = new Set<number>();
  const reports = samples.toReversed().map((sample) => {
    let at = sampledAt(sample, now).getTime();
    while (taken.has(at)) at -= 1;
    taken.add(at);
    return { kind: 'telemetry' as const, id: randomUUID(), at: new Date(at).toISOString(), metrics: metricsOf(sample) };
  });
  return reports.reverse();
}
