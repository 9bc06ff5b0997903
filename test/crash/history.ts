import { isDeepStrictEqual } from 'node:util';
import { type DeploymentState, TRANSITIONS } from '../../src/deployment/deployment.ts';
import type { Verdicts } from './checks.ts';
import type { Body } from './service.ts';
import { pause, within } from './wait.ts';
import type { World } from './world.ts';

/** A listener that reads the events from its last cursor on, all the time, through every outage. */
export type EventLog = ReturnType<typeof followEvents>;

const CATCH_UP_MS = 15_000;

export function followEvents(world: World) {
  const seen: number[] = [];
  let stopped = false;
  const read = async () => {
    const { items } = await world.service.api('GET', `/events?limit=500&after=${seen.at(-1) ?? 0}`);
    seen.push(...items.map((event: Body) => event.cursor));
    return items.length;
  };
  const following = (async () => {
    while (!stopped) {
      const count = await read().catch(() => 0);
      if (count === 0) await pause(100);
    }
  })();
  return {
    async check(verdicts: Verdicts): Promise<void> {
      let all: Body[] = [];
      const complete = await within(CATCH_UP_MS, async () => {
        all = await world.service.list('/events');
        return isDeepStrictEqual(
          all.map((event) => event.cursor),
          seen,
        );
      });
      verdicts.must(complete, () => `the listener saw ${seen.length} events, the list has ${all.length}: some appeared behind its cursor`);
      verdicts.must(
        seen.every((cursor, at) => at === 0 || cursor > seen[at - 1]!),
        () => 'event cursors do not ascend',
      );
      checkDeployments(all, verdicts);
    },
    async close(): Promise<void> {
      stopped = true;
      await following;
    },
  };
}

/** Each deployment moves as the transition table says, and ends once. */
function checkDeployments(events: Body[], { must }: Verdicts): void {
  const states = new Map<string, DeploymentState>();
  for (const { type, data } of events) {
    if (type !== 'deployment.state') continue;
    const { deploymentId, state } = data;
    const before = states.get(deploymentId) ?? 'queued';
    must(TRANSITIONS[before].includes(state), () => `deployment ${deploymentId} went from ${before} to ${state}`);
    states.set(deploymentId, state);
  }
  must(states.size > 0, () => 'no deployment left a trace in the events');
}
