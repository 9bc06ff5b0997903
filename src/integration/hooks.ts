import { hashToken } from '../crypto/tokens.ts';
import type { Db, Sql } from '../db/connect.ts';
import { emitStanding } from '../device/events.ts';
import { noteSeen, type Sighting } from '../device/store/seen.ts';
import { type Store, transact } from '../event/transact.ts';
import type { Integration } from './integration.ts';
import type { HookNotice } from './provider.ts';
import { devicesByExternalId } from './store/accounts.ts';
import { pruneIntegrationHooks, takeDelivery } from './store/hooks.ts';
import { requestRuns, runWithin } from './store/services.ts';

/** `duplicate`: the same hook was taken before. `ignored`: the integration, or syncing as a whole, is switched off. */
export type IntegrationHookOutcome = 'accepted' | 'duplicate' | 'ignored';

/** A platform that names its deliveries sends one again for days at most. */
const NAMED_SECONDS = 7 * 86_400;
/**
 * Without a name, equal content counts as the same hook for this time. It is short, as a device may report the same state again, and that is a sign of
 * life. A replay after it changes nothing that the platform itself would not show: the sync that follows reads it again.
 */
const CONTENT_SECONDS = 60;
/** Hooks of a busy account must not make one sync follow the other: 10,000 devices cost 100 requests each time. */
const SYNC_EVERY_SECONDS = 30;
/** A platform's ids are short. A longer one is replaced by its hash. */
const MAX_DELIVERY_CHARACTERS = 200;

/** More devices are left to the sync. Each may be an event. */
const MAX_DEVICES = 1_000;
/** A larger state is left to the sync, which knows the platform's own limits. */
const MAX_STATE_CHARACTERS = 128 * 1024;

const NAMED = 'id:';
const CONTENT = 'content:';
const SYNC = 'sync:';

type Taken = { outcome: IntegrationHookOutcome; devices: number };

/**
 * Takes a verified hook once: notes the devices that it names as seen, with the state that it carries, and requests a sync, all in one transaction.
 * Dashboards show the devices at once. Everything else that the hook says is read from the platform again.
 */
export function takeIntegrationHook(store: Store, integration: Integration, notice: HookNotice, rawBody: Uint8Array): Promise<Taken> {
  const { organizationId, id } = integration;
  return transact(store, async (unit) => {
    const { delivery, windowSeconds } = deliveryOf(notice, rawBody);
    if (!(await takeDelivery(unit.tx, integration, delivery, windowSeconds))) return { outcome: 'duplicate', devices: 0 };
    const sightings = await sightingsOf(unit.tx, integration, notice);
    for (const device of await noteSeen(unit.tx, organizationId, sightings))
      if (device.isChanged) emitStanding(unit, 'device.status', device, { lastSeenAt: device.lastSeenAt.toISOString() });
    // After a run that failed, the schedule decides when the platform is asked again: it may have named a time itself.
    if (integration.failures > 0 && integration.nextRunAt !== null) return { outcome: 'accepted', devices: sightings.length };
    if (await takeDelivery(unit.tx, integration, SYNC, SYNC_EVERY_SECONDS)) {
      await requestRuns(unit.tx, organizationId, [id], 'hook');
      unit.enqueue('integration', id);
    } else await runWithin(unit.tx, integration, SYNC_EVERY_SECONDS);
    return { outcome: 'accepted', devices: sightings.length };
  });
}

/** The devices of the hook that this integration has; of a device that is named twice, the last entry counts. */
async function sightingsOf(tx: Db, integration: Integration, { devices }: HookNotice): Promise<Sighting[]> {
  const named = new Map(devices.slice(0, MAX_DEVICES).map((device) => [device.externalId, device]));
  const known = await devicesByExternalId(tx, integration, [...named.keys()]);
  return [...known].map(([externalId, deviceId]) => {
    const { seenAt = null, state } = named.get(externalId) ?? {};
    const isKept = state !== undefined && JSON.stringify(state).length <= MAX_STATE_CHARACTERS;
    return { deviceId, seenAt, state: isKept ? state : undefined };
  });
}

/** Headers may decide which device a body is about, so that its meaning is part of the content. */
function deliveryOf({ deliveryId, devices }: HookNotice, rawBody: Uint8Array): { delivery: string; windowSeconds: number } {
  if (deliveryId !== null)
    return {
      delivery: NAMED + (deliveryId.length > MAX_DELIVERY_CHARACTERS ? digest(Buffer.from(deliveryId)) : deliveryId),
      windowSeconds: NAMED_SECONDS,
    };
  const meaning = JSON.stringify(devices.map(({ externalId, state }) => [externalId, state ?? null]));
  return { delivery: CONTENT + digest(Buffer.concat([Buffer.from(`${meaning}\n`), rawBody])), windowSeconds: CONTENT_SECONDS };
}

function digest(bytes: Buffer): string {
  return hashToken(bytes).toString('base64url');
}

/** Forgets hooks whose repetition would be taken again anyway. */
export function forgetHooks(sql: Sql): Promise<void> {
  return pruneIntegrationHooks(sql, { [NAMED]: NAMED_SECONDS, [CONTENT]: CONTENT_SECONDS, [SYNC]: SYNC_EVERY_SECONDS });
}
