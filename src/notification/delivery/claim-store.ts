import type { Db } from '../../db/connect.ts';
import type { Delivery, Notification } from '../notification.ts';
import { columns } from '../store.ts';
import type { Attempt } from './deliveries-store.ts';

/**
 * The right to process a notification, held by one worker among all processes. It expires `LEASE_SECONDS` after its last renewal, so that another
 * process takes over after a crash.
 */
export type Claim = Pick<Notification, 'organizationId' | 'id'> & { claim: string };

/** Longer than any attempt. */
const LEASE_SECONDS = 30;

const claimed = (sql: Db, { organizationId, id, claim }: Claim) =>
  sql`organization_id = ${organizationId} and id = ${id} and claim = ${claim}`;

/** Claims up to `limit` notifications that are due, the longest due first. Safe across processes. @param claim a new id */
export async function claimDue(sql: Db, claim: string, limit: number): Promise<Claim[]> {
  return sql<Claim[]>`
    update notifications n set claim = ${claim}, claimed_until = now() + make_interval(secs => ${LEASE_SECONDS})
    from (select organization_id, id from notifications
          where enabled and due_at <= now() and (claimed_until is null or claimed_until < now())
          order by due_at limit ${limit} for update skip locked) due
    where n.organization_id = due.organization_id and n.id = due.id
    returning n.organization_id as "organizationId", n.id, n.claim`;
}

/** Renews the claim. @returns the current notification; undefined if it is disabled, deleted or claimed by another worker */
export async function renewClaim(sql: Db, claim: Claim): Promise<Notification | undefined> {
  const [row] = await sql<Notification[]>`
    update notifications set claimed_until = now() + make_interval(secs => ${LEASE_SECONDS}) where ${claimed(sql, claim)} and enabled
    returning ${columns(sql)}`;
  return row;
}

/** Records that all wanted events up to `cursor` have become deliveries, except `dropped` of them. */
export async function moveCursor(tx: Db, claim: Claim, cursor: number, dropped: number): Promise<void> {
  await tx`update notifications set cursor = ${cursor}, dropped = dropped + ${dropped} where ${claimed(tx, claim)}`;
}

/** Ends the claim of a locked notification without further work. It stays due if a user requested a redelivery meanwhile. */
export async function releaseClaim(tx: Db, claim: Claim): Promise<void> {
  await tx`
    update notifications n set claim = null, claimed_until = null, due_at = case when exists (
      select 1 from notification_deliveries d
      where d.organization_id = n.organization_id and d.notification_id = n.id and d.state = 'pending') then due_at end
    where ${claimed(tx, claim)}`;
}

/** Ends the claim unless it has ended, and leaves the notification due. */
export async function yieldClaim(sql: Db, claim: Claim): Promise<void> {
  await sql`update notifications set claim = null, claimed_until = null where ${claimed(sql, claim)}`;
}

/** Ends all claims. Only for a process that is certain to be the only one: all claims then belong to ended processes. */
export async function dropClaims(sql: Db): Promise<void> {
  await sql`update notifications set claim = null, claimed_until = null where claim is not null`;
}

/**
 * Records a successful delivery with its attempt, and renews the claim. One statement, since most attempts end like this.
 * @returns the current notification, which may be disabled meanwhile; undefined, with nothing recorded, if it is deleted or claimed by another worker
 */
export async function noteTaken(
  sql: Db,
  claim: Claim,
  { id, attempts }: Pick<Delivery, 'id' | 'attempts'>,
  { at, durationMs, status, response }: Attempt,
): Promise<Notification | undefined> {
  const [row] = await sql<Notification[]>`
    with claimed as (
      update notifications set failures = 0, last_error = null, last_delivered_at = now(), claimed_until = now() + make_interval(secs => ${LEASE_SECONDS})
      where ${claimed(sql, claim)} returning *
    ), delivery as (
      update notification_deliveries d set state = 'delivered', attempts = ${attempts + 1}, finished_at = now()
      from claimed where d.organization_id = claimed.organization_id and d.id = ${id}
    ), attempt as (
      insert into notification_attempts (organization_id, delivery_id, attempt, at, duration_ms, status, response)
      select organization_id, ${id}::uuid, ${attempts + 1}::int, ${at}::timestamptz, ${durationMs}::int, ${status}::int, ${response}::text from claimed
    ) select ${columns(sql)} from claimed`;
  return row;
}

/** Records a failure and ends the claim; the next attempt follows after `inSeconds`. @returns false if the notification is disabled or the claim was lost */
export async function noteFailure(tx: Db, claim: Claim, error: string, inSeconds: number): Promise<boolean> {
  const noted = await tx`
    update notifications set failures = failures + 1, last_error = ${error}, due_at = now() + make_interval(secs => ${inSeconds}),
      claim = null, claimed_until = null where ${claimed(tx, claim)} and enabled`;
  return noted.count === 1;
}

/** Ends the claim and disables the notification until a user enables it. @returns as `noteFailure` */
export async function noteDisabled(tx: Db, claim: Claim, reason: string): Promise<boolean> {
  const noted = await tx`
    update notifications set enabled = false, disabled_reason = ${reason}, last_error = ${reason}, failures = failures + 1, due_at = null, claim = null,
      claimed_until = null, version = version + 1, updated_at = now() where ${claimed(tx, claim)}`;
  return noted.count === 1;
}
