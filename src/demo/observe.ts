import { z } from 'zod';
import type { ApiClient } from '../cli/client.ts';
import { Problem } from '../errors.ts';
import type { EventType } from '../wire/event/events.ts';
import type { LiveEvent } from '../wire/live.ts';
import type { Output } from './output.ts';
import type { Recording } from './stack/feed.ts';

/** Matches and queries that the steps share, and how their results are printed. */

const Blockers = z.array(z.object({ code: z.string(), detail: z.string(), unblockedBy: z.string() }));
export type Blocker = z.infer<typeof Blockers>[number];

type Matches = (event: LiveEvent) => boolean;

export function isAbout(type: EventType, commit: string): Matches {
  return (event) => event.type === type && event.data.commit === commit;
}

/** A step of a device, in that rollout or in any. */
export function isStep(deviceId: string, state: string, rolloutId?: string): Matches {
  return ({ type, subject, data }) =>
    type === 'deployment.state' &&
    subject === `device:${deviceId}` &&
    data.state === state &&
    (rolloutId === undefined || data.rolloutId === rolloutId);
}

/** The id of the rollout that a commit leads to. @throws Problem `demo_incomplete` */
export async function rolloutOf(recording: Recording, repository: string, commit: string): Promise<string> {
  const { event } = await recording.find(`the rollout of the commit in ${repository}`, isAbout('rollout.planned', commit));
  return event.subject.slice('rollout:'.length);
}

/** The reasons of the service why the device does not run the newest commit. */
export async function blockersOf(api: ApiClient, deviceId: string): Promise<Blocker[]> {
  return Blockers.parse(await api.get(`/devices/${deviceId}/why`));
}

export function printBlockers(out: Output, blockers: readonly Blocker[]): void {
  for (const { code, detail, unblockedBy } of blockers)
    out.line(`      ${code}: ${detail.replaceAll('\n', ' ')}; ends with: ${unblockedBy}`);
}

/** @throws Problem `demo_incomplete` */
export function demand(holds: boolean, what: string): void {
  if (!holds) throw new Problem('demo_incomplete', `Cannot go on: not observed: ${what}`);
}
