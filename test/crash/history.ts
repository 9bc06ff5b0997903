import { isDeepStrictEqual } from 'node:util';
import { type DeploymentState, TRANSITIONS } from '../../src/deployment/deployment.ts';
import type { Verdicts } from './checks.ts';
import type { Page } from './service.ts';
import { pause, within } from './wait.ts';
import type { World } from './world.ts';

/** A listener that reads all events after its last cursor, continuously, through every outage. */
export type EventLog = ReturnType<typeof followEvents>;

type Event = { cursor: number; type: string; data: { deploymentId?: string; state?: DeploymentState } };

const CATCH_UP_MS = 60_000;

export function followEvents(world: World) {
  const { service } = world;
  /** Unchecked events, and the cursor before them. */
  let seen: Event[] = [];
  let checked = 0;
  let total = 0;
  const states = new Map<string, DeploymentState>();
  let stopped = false;
  const after = (cursor: number) => service.api<Page<Event>>('GET', `/events?limit=500&after=${cursor}`);
  const following = (async () => {
    while (!stopped) {
      const { items } = await after(seen.at(-1)?.cursor ?? checked).catch(() => ({ items: [] }));
      seen.push(...items);
      if (items.length === 0) await pause(100);
    }
  })();
  /** Events in the list after the last check. */
  const readAgain = async () => {
    const all: Event[] = [];
    for (;;) {
      const { items } = await after(all.at(-1)?.cursor ?? checked);
      all.push(...items);
      if (items.length < 500) return all;
    }
  };
  return {
    total: () => total,
    async check({ must }: Verdicts): Promise<void> {
      let all: Event[] = [];
      const cursors = (events: readonly Event[]) => events.map((event) => event.cursor);
      const complete = await within(CATCH_UP_MS, async () => {
        all = await readAgain();
        return isDeepStrictEqual(cursors(all), cursors(seen));
      });
      must(
        complete,
        () => `the listener saw ${seen.length} events since ${checked}, the list has ${all.length}: some appeared behind its cursor`,
      );
      must(
        seen.every((event, at) => event.cursor > (seen[at - 1]?.cursor ?? checked)),
        () => 'event cursors do not ascend',
      );
      checkDeployments(seen, states, must);
      checked = seen.at(-1)?.cursor ?? checked;
      total += seen.length;
      seen = [];
    },
    async close(): Promise<void> {
      stopped = true;
      await following;
    },
  };
}

/** Each deployment follows the transition table and ends once. */
function checkDeployments(events: readonly Event[], states: Map<string, DeploymentState>, must: Verdicts['must']): void {
  for (const { type, data } of events) {
    if (type !== 'deployment.state' || data.deploymentId === undefined || data.state === undefined) continue;
    const { deploymentId, state } = data;
    const before = states.get(deploymentId) ?? 'queued';
    must(TRANSITIONS[before].includes(state), () => `deployment ${deploymentId} went from ${before} to ${state}`);
    states.set(deploymentId, state);
  }
  must(states.size > 0, () => 'no deployment left a trace in the events');
}
