import { expect, test } from 'vitest';
import type { VendorServer } from '../../src/demo/vendors/vendor-server.ts';
import { able, addDevices, openScene } from './scene.ts';
import { type Subject, signal, targetOf, writesOf } from './subject.ts';

export function commandFacts<Server extends VendorServer>(subject: Subject<Server>): void {
  const { execute } = subject.provider.abilities;
  const command = () => ({ id: 'c', ...able(subject.command), expiresAt: new Date(Date.now() + 60_000) });

  test.runIf(execute)('a command is sent once, and its outcome is asked for by its reference', async () => {
    const { server, platform } = await openScene(subject);
    const target = targetOf(addDevices(server, 1)[0] ?? '');
    const outcome = await able(platform.execute)(target, command(), signal);
    expect(writesOf(server)).toHaveLength(1);
    if (outcome.state !== 'sent') return void expect(outcome.state).toBe('completed');
    expect((await able(platform.outcome)(target, outcome.reference, signal)).state).toBe('completed');
    expect(writesOf(server)).toHaveLength(1);
  });

  test.runIf(execute).each(['drop', 'lost_answer'] as const)('a command is not repeated when its connection breaks (%s)', async (fault) => {
    const { server, platform } = await openScene(subject);
    const target = targetOf(addDevices(server, 1)[0] ?? '');
    for (const method of ['POST', 'PUT']) server.faults.push({ method, do: { is: fault } });
    await able(platform.execute)(target, command(), signal).catch((error: unknown) =>
      expect(error).toMatchObject({ code: 'integration_unreachable' }),
    );
    expect(writesOf(server)).toHaveLength(1);
  });

  test.runIf(execute)('a device that is away or fails completes no command', async () => {
    const { server, platform } = await openScene(subject);
    const id = addDevices(server, 1)[0] ?? '';
    for (const behaviour of [{ offline: true }, { offline: false, fails: true }]) {
      server.behave(id, behaviour);
      const outcome = await able(platform.execute)(targetOf(id), command(), signal);
      expect(outcome.state).not.toBe('completed');
    }
  });
}
