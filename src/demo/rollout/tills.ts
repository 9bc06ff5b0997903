import { z } from 'zod';
import { messageOf } from '../../errors.ts';
import { enrollDevices } from '../../simulate/enroll.ts';
import { runSimulation } from '../../simulate/run.ts';
import { isStep } from '../observe.ts';
import type { Repository } from '../stack/repositories.ts';
import { createSource, openStack, type Stack, type StackOptions } from '../stack/stack.ts';
import { FIXTURE, TILLS } from './commits.ts';

/** One repository that many simulated tills follow, all running and in step. */
export type Tills = Stack & {
  repository: Repository;
  sourceId: string;
  /** Ids. */
  devices: readonly string[];
};

const Token = z.object({ token: z.string() });

export async function openTills(count: number, options: StackOptions, stopped: AbortSignal): Promise<Tills> {
  return openStack(
    options,
    stopped,
    (repositories) => repositories.create(FIXTURE, 'repo', FIXTURE),
    (stack, repository) => bringUp(stack, repository, count, options),
  );
}

async function bringUp(stack: Stack, repository: Repository, count: number, options: StackOptions): Promise<Omit<Tills, keyof Stack>> {
  const { api, url, signal } = stack;
  using recording = stack.feed.record();
  options.say(`Starting ${count} simulated tills, which all follow the repository "${repository.name}" …`);
  // The first configuration goes to all at once: there is nothing yet that could be broken.
  const sourceId = await createSource(stack, repository, { policyFrom: 'source' });
  const { token } = Token.parse(await api.send('POST', '/enrolment-tokens', { uses: count, sourceId }));
  const keys = await enrollDevices({ server: url, token, count, prefix: 'till', signal });
  const ending = new AbortController();
  const running = runSimulation({ ...TILLS, server: url, devices: keys, signal: ending.signal });
  stack.onClose(() => {
    ending.abort();
    return running;
  });
  const ended = running.then(
    () => 'ended',
    (error: unknown) => `failed: ${messageOf(error)}`,
  );
  stack.watch('the simulation', ended);
  await Promise.all(keys.map(({ id }) => recording.find(`the first configuration on ${id}`, isStep(id, 'succeeded'))));
  await recording.find('the end of the first rollout', ({ type }) => type === 'rollout.completed');
  // The repository itself now holds the rollout policy for the tills.
  await api.send('PATCH', `/sources/${sourceId}`, { policyFrom: 'git' });
  return { repository, sourceId, devices: keys.map(({ id }) => id) };
}
