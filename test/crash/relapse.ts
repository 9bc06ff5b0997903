import { isDeepStrictEqual } from 'node:util';
import type { Verdicts } from './checks.ts';
import { foldersOf, released } from './fleet.ts';
import { within } from './wait.ts';
import type { World } from './world.ts';

/** More starts than any queue's attempts at one job. */
const RELAPSES = 5;
const WORKING_MS = 135_000;
const SETTLE_MS = 225_000;

/**
 * The service dies each time it processes the same push, as without enough memory, until every counter of attempts is exhausted. The push must
 * still take effect soon after the last start.
 */
export async function relapse({ host, service, pushes, devices }: World, { must }: Verdicts): Promise<void> {
  const repository = 'gate';
  host.fault(repository, { kind: 'hang' });
  const { length: before } = host.requests;
  const asked = () => host.requests.slice(before).filter((request) => request.repository === repository).length;
  await pushes.push(repository, 'good', foldersOf(repository));
  await pushes.delivered();
  for (let died = 0; died < RELAPSES; died++) {
    const seen = died === 0 ? 0 : asked();
    if (died > 0) await service.start();
    const works = await within(WORKING_MS, async () => asked() > seen);
    must(works, () => `start ${died} after dying at work: the push to ${repository} is not taken up again`);
    await service.kill();
  }
  host.clearFault(repository);
  await service.start();
  const wanted = released(pushes.config(repository)!);
  const runs = await within(SETTLE_MS, async () => isDeepStrictEqual(await devices.get(repository)!.current(), wanted));
  must(runs, () => `the push to ${repository} that the service died of ${RELAPSES} times has no effect`);
}
