import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { createClient, type Item } from '../../src/cli/client.ts';
import { registerDemoCommand } from '../../src/demo/command.ts';
import { startDemo } from '../support/demo.ts';

const DEVICES = 12;

test('demo --rollout --exit: two bad commits stop at the canaries, who go back, and the fix reaches all; so says the API', async () => {
  await using demo = await startDemo(['--rollout', '--exit', '--devices', String(DEVICES)]);
  await demo.says('4  The fix');
  // It holds its breath meanwhile, and the service, a process of its own, can be asked before it ends.
  demo.child.kill('SIGSTOP');
  await expectOnlyCanariesTouched(demo.output()).finally(() => demo.child.kill('SIGCONT'));
  expect(await demo.ended).toEqual({ code: 0, signal: null });
  expect(demo.result()).toEqual({
    ...{ devices: DEVICES, canaries: 2, touchedByBadCommit: 2, rolledBack: 2, reverted: 2, applied: DEVICES, ok: true },
    rollouts: ['completed', 'aborted', 'reverted', 'completed'],
  });
  expect(demo.output()).toContain('rollout_aborted: ');
  expect(demo.output()).toMatch(/2 of 2 devices failed \(100 %\), the error budget is 10%/);
  expect(demo.output()).toMatch(/error_rate of 2 devices of canary is [\d.]+ \(mean\), its gate allows 2 times/);
  expect(demo.complaints()).toBe('');
  await demo.expectNothingLeft();
}, 900_000);

test('demo --rollout --exit that cannot start says why in its JSON, and ends with 1', async () => {
  await using demo = await startDemo(['--rollout', '--exit', '--data', fileURLToPath(new URL('.', import.meta.url))]);
  expect(await demo.ended).toEqual({ code: 1, signal: null });
  expect(demo.result()).toMatchObject({
    devices: 0,
    touchedByBadCommit: 0,
    applied: 0,
    ok: false,
    reason: expect.stringContaining('must be empty'),
  });
  await demo.expectNothingLeft();
});

test.each([
  [['--rollout', '--devices', '4'], 'must be from 5 to 1000'],
  [['--devices', '50'], 'must be from 2 to 20'],
])('demo %j is refused with what is allowed', async (args, refusal) => {
  const program = new Command();
  registerDemoCommand(program);
  await expect(program.parseAsync(['demo', ...args], { from: 'user' })).rejects.toThrow(refusal);
});

/** While the last commit is on its way: every attempt ever made for one of the two that were aborted was a canary's, and its way back led to the good bundle. */
async function expectOnlyCanariesTouched(output: string): Promise<void> {
  const server = /service +(http:\S+)/.exec(output)?.[1] ?? '';
  const api = createClient({ server, token: /admin token +(\S+)/.exec(output)?.[1] ?? '' });
  const rollouts = await api.list('/rollouts', {}, 100);
  const bad = rollouts.filter(({ state }) => state === 'aborted' || state === 'reverted').map(({ id }) => String(id));
  expect(bad).toHaveLength(2);
  for (const id of bad) {
    const taken = await api.list(`/rollouts/${id}/devices`, {}, 100);
    expect(taken.map(({ deviceId }) => deviceId)).toEqual(['till-0001', 'till-0002']);
  }
  const devices = (await api.list('/devices', {}, 100)).map(({ id }) => String(id));
  expect(devices).toHaveLength(DEVICES);
  const attempts = new Map<string, Item[]>();
  for (const id of devices) attempts.set(id, await api.list(`/devices/${id}/deployments`, {}, 100));
  const badAttempts = (id: string) => attempts.get(id)?.filter(({ rolloutId }) => bad.includes(String(rolloutId))) ?? [];
  expect(devices.filter((id) => badAttempts(id).length > 0)).toEqual(['till-0001', 'till-0002']);
  // Whoever is no canary has had the first and the good configuration, and at most been told of the fix.
  const good = attempts.get('till-0012')?.at(-2)?.bundle;
  expect(good).toMatch(/^[0-9a-f]{64}$/);
  for (const id of ['till-0001', 'till-0002']) {
    const wayBack = badAttempts(id).find(({ kind }) => kind === 'rollback');
    expect(wayBack).toMatchObject({ bundle: good, state: 'succeeded' });
  }
}
