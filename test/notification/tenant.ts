import { hashToken, last4, mintToken } from '../../src/crypto/tokens.ts';
import { type Store, transact } from '../../src/event/transact.ts';
import { newId } from '../../src/ids.ts';
import { ensureOrganization, insertToken } from '../../src/organization/store.ts';
import type { EventType } from '../../src/wire/event/events.ts';
import { eventWith } from '../support/events.ts';
import { type Api, eventually, type TestService } from '../support/service.ts';
import type { Receiver } from './receiver.ts';

/** A delivery as the API lists it. */
export type Listed = {
  id: string;
  eventCursor: number;
  eventType: string;
  subject: string;
  state: 'pending' | 'delivered' | 'failed';
  attempts: number;
  nextTryAt: string | null;
  tries: { at: string; status: number | null; error: string | null; response: string }[];
};

/** A separate organization in a shared service, so that it has only its own events. */
export async function openTenant({ app, database: { sql }, apiAs }: TestService) {
  const name = `tenant-${newId()}`;
  const organizationId = await ensureOrganization(sql, newId(), name);
  const token = mintToken('token');
  await insertToken(sql, organizationId, { id: newId(), name, role: 'admin', hash: hashToken(token), last4: last4(token) });
  const api = apiAs(token);
  const events = eventsOf(app.services.store, organizationId);
  return {
    organizationId,
    api,
    sql,
    ...events,
    ...notificationsOf(api),
    /** Ends the pause after a failure; an event makes the service notice it at once. */
    hurry: async (id: string) => {
      await sql`update notifications set due_at = now() where id = ${id} and due_at is not null`;
      await events.emit('service.watching');
    },
  };
}

function eventsOf(store: Store, organizationId: string) {
  const emitAll = (events: readonly [type: EventType, subject?: string, data?: Record<string, unknown>][]) =>
    transact(store, async ({ emit }) => {
      for (const [type, subject = 'device:d', data = {}] of events) emit(eventWith({ organizationId, type, subject, data }));
    });
  return {
    /** Emits all events in one transaction. */
    emitAll,
    emit: (type: EventType, subject?: string, data?: Record<string, unknown>) => emitAll([[type, subject, data]]),
  };
}

function notificationsOf(api: Api) {
  const get = async (id: string) => (await api('GET', `/notifications/${id}`)).body;
  const deliveries = async (id: string): Promise<Listed[]> => (await api('GET', `/notifications/${id}/deliveries?limit=500`)).body.items;
  return {
    get,
    deliveries,
    /** Creates a notification to `receiver`; by default about rollouts. */
    async notify(receiver: Pick<Receiver, 'url'>, settings: Record<string, unknown> = {}): Promise<{ id: string; secret: string }> {
      const wanted = { name: `n-${newId()}`, url: receiver.url, events: ['rollout.*'], format: 'json', ...settings };
      const answer = await api('POST', '/notifications', wanted);
      if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
      return answer.body;
    },
    /** Waits until that many failed attempts in a row are recorded. */
    failed: (id: string, failures: number) => eventually(`${failures} failures`, async () => (await get(id)).failures >= failures),
    /** Waits until no delivery is pending. */
    settled: (id: string, count: number) =>
      eventually(`${count} deliveries have ended`, async () => {
        const all = await deliveries(id);
        return all.length >= count && all.every(({ state }) => state !== 'pending') ? all : undefined;
      }),
  };
}

export type Tenant = Awaited<ReturnType<typeof openTenant>>;
