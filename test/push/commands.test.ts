import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { integrationProblem } from '../../src/integration/problems.ts';
import type { CommandOutcome } from '../../src/integration/provider.ts';
import { createProviders } from '../../src/integration/registry.ts';
import { insertIntegration } from '../../src/integration/store/services.ts';
import { createExternalCommands } from '../../src/push/commands.ts';
import { eventually, openService, type TestService } from '../support/service.ts';
import { scriptPlatform } from './platform.ts';

const sent: string[] = [];
let answers: (() => CommandOutcome)[] = [];
const answer = () => (answers.shift() ?? (() => ({ state: 'completed' as const, result: { code: 0 } })))();
const runner = scriptPlatform(
  'runner',
  async ({ externalId }, { type }) => {
    sent.push(`${externalId} ${type}`);
    return answer();
  },
  async () => answer(),
);
const silent = scriptPlatform('silent');
let service: TestService;
let organizationId = '';

beforeAll(async () => {
  // The API alone: the test runs the commands.
  service = await openService(
    { ROLE: 'api', ENABLE_EXTERNAL_INTEGRATION: 'true' },
    { providers: createProviders([runner.provider, silent.provider]) },
  );
  const [row] = await service.database.sql<[{ id: string }]>`select id from organizations`;
  organizationId = row.id;
  const { id } = await insertIntegration(service.database.sql, {
    ...{ organizationId, id: newId(), name: 'r', type: 'runner', settings: {}, credentialsSealed: null, credentialsHint: {} },
    ...{ hookSecretSealed: null, hookSecretLast4: null, isActive: true, direction: 'import', strategy: 'manual', fields: null },
    ...{ fieldRules: {}, autoSync: false, intervalSeconds: 3600 },
  });
  for (const [device, adapter] of [
    ['a', 'runner'],
    ['unassigned', 'runner'],
    ['mute', 'silent'],
  ])
    expect((await service.api('POST', '/devices', { id: device, type: 'x', adapter })).status).toBe(201);
  await service.database.sql`
    insert into device_service_assignments (organization_id, service_id, device_id, external_id) values (${organizationId}, ${id}, 'a', 'ext-a')`;
});
afterAll(() => service.close());

const queue = async (device: string, type: string) => {
  const { status, body } = await service.api('POST', `/devices/${device}/commands`, { type, payload: {} });
  expect(status, JSON.stringify(body)).toBe(201);
  return body.id as string;
};
const command = async (id: string) => {
  const [row] = await service.database.sql`select state, result, external_reference as reference from commands where id = ${id}`;
  return row;
};
/** A process that runs all due commands, and then stops. */
async function run() {
  const commands = createExternalCommands(service.app.services);
  await commands.runOnce();
  await eventually(
    'its requests end',
    async () =>
      (await service.database.sql`select 1 from commands where state = 'queued' or (state = 'sent' and external_reference is null)`)
        .length === 0,
  );
  await commands.close();
}

test('a command of any type goes to the platform once, and its result comes back', async () => {
  const id = await queue('a', 'blink_led');
  await run();
  await run();
  expect(sent).toEqual(['ext-a blink_led']);
  expect(await command(id)).toMatchObject({ state: 'completed', result: { code: 0 } });
});

test('a command that the platform only takes is asked about under its reference until it has ended', async () => {
  answers = [() => ({ state: 'sent', reference: 'r1' })];
  const id = await queue('a', 'reboot');
  const commands = createExternalCommands(service.app.services);
  await commands.runOnce();
  await eventually('the platform has it', async () => (await command(id))?.reference === 'r1');
  expect(await command(id)).toMatchObject({ state: 'sent' });
  await commands.close();
  answers = [() => ({ state: 'failed', result: { code: 4 } })];
  // Another process asks.
  await run();
  await eventually('it has ended', async () => (await command(id))?.state === 'failed');
  expect(await command(id)).toMatchObject({ result: { code: 4 }, reference: 'r1' });
});

test('a command that the platform refuses, or whose device is assigned nowhere, fails with the reason', async () => {
  answers = [
    () => {
      throw integrationProblem('integration_rejected', 'Cannot run "dance": no such method');
    },
  ];
  const id = await queue('a', 'dance');
  await run();
  expect(await command(id)).toMatchObject({ state: 'failed', result: { error: 'Cannot run "dance": no such method' } });
  const other = await queue('unassigned', 'dance');
  await run();
  expect(await command(other)).toMatchObject({
    state: 'failed',
    result: { error: expect.stringContaining('no integration of type "runner"') },
  });
});

test('a device whose platform runs no commands refuses them', async () => {
  const { status, body } = await service.api('POST', '/devices/mute/commands', { type: 'ping', payload: {} });
  expect(status).toBe(422);
  expect(body).toMatchObject({ code: 'integration_unsupported', detail: expect.stringContaining('runs no commands') });
});
