import type { Sql } from '../db/connect.ts';
import type { Selector } from '../event/severity.ts';
import { selectorsFor } from './filter.ts';
import { type IdleNotification, idleNotifications, makeDue, skipTo } from './store.ts';
import { newestBySelector, spanAfter } from './wanted-store.ts';

/**
 * Makes the notifications due that new events match by type and severity; the cursors of all others skip these events. It reads an organization's
 * new events once, however many notifications it has.
 */
export async function wakeWanting(sql: Sql, organizationIds: readonly string[] | 'all'): Promise<void> {
  const idle = await idleNotifications(sql, organizationIds);
  for (const [organizationId, notifications] of Map.groupBy(idle, (notification) => notification.organizationId))
    await wakeOf(sql, organizationId, notifications);
}

async function wakeOf(sql: Sql, organizationId: string, notifications: readonly IdleNotification[]): Promise<void> {
  let waiting = notifications.map((notification) => ({ notification, keys: selectorsFor(notification).map(keyOf) }));
  let after = Math.min(...notifications.map(({ cursor }) => cursor));
  while (waiting.length > 0) {
    const span = await spanAfter(sql, organizationId, after);
    if (span === undefined) return;
    const newest = await newestByKey(sql, span, notifications.flatMap(selectorsFor));
    const isWanting = ({ notification, keys }: (typeof waiting)[number]) =>
      keys.some((key) => (newest.get(key) ?? 0) > notification.cursor);
    const wanting = waiting.filter(isWanting);
    await makeDue(
      sql,
      organizationId,
      wanting.map(({ notification }) => notification.id),
    );
    waiting = waiting.filter((one) => !wanting.includes(one));
    await skipTo(
      sql,
      span.upTo,
      waiting.map(({ notification }) => notification),
    );
    if (!span.full) return;
    after = span.upTo;
  }
}

async function newestByKey(
  sql: Sql,
  span: Parameters<typeof newestBySelector>[1],
  selectors: readonly Selector[],
): Promise<Map<string, number>> {
  const distinct = [...new Map(selectors.map((selector) => [keyOf(selector), selector])).values()];
  const newest = await newestBySelector(sql, span, distinct);
  return new Map(distinct.map((selector, place) => [keyOf(selector), newest.get(place) ?? 0]));
}

function keyOf({ type, field, value }: Selector): string {
  return `${type} ${field ?? ''} ${value ?? ''}`;
}
