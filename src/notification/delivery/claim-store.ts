import type { Db } from '../../db/connect.ts';
import type { Delivery, Notification } from '../notification.ts';
import { columns } from '../store.ts';
import type { Attempt } from './deliveries-store.ts';

/**
 * The right to work at a notification: one worker at a time, among all processes. It lasts `LEASE_SECONDS` from its last sign of life; what a killed
 * process held is then taken by another.
 */
export type Claim = Pick<Notification, 'organizationId' | 'id'> & { claim: string };

/** More than an attempt can take. */
const LEASE_SECONDS = 30;

const held = (sql: Db, { organizationId, id, claim }: Claim) =>
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

/** A sign of life. @returns the notification as it is now; undefined when it is disabled, deleted or claimed by another */
export async function renewClaim(sql: Db, claim: Claim): Promise<Notification | undefined> {
  const [row] = await sql<Notification[]>`
    update notifications set claimed_until = now() + make_interval(secs => ${LEASE_SECONDS}) where ${held(sql, claim)} and enabled
    returning ${columns(sql)}`;
  return row;
}

/** The wanted events up to `cursor` have become deliveries, but for `dropped` of them. */
export async function moveCursor(tx: Db, claim: Claim, cursor: number, dropped: number): Promise<void> {
  await tx`update notifications set cursor = ${cursor}, dropped = dropped + ${dropped} where ${held(tx, claim)}`;
}

/** Ends the claim of a notification, locked, for which nothing is left to do. It stays due for a delivery that was asked for again meanwhile. */
export async function rest(tx: Db, claim: Claim): Promise<void> {
  await tx`
    update notifications n set claim = null, claimed_until = null, due_at = case when exists (
      select 1 from notification_deliveries d
      where d.organization_id = n.organization_id and d.notification_id = n.id and d.state = 'pending') then due_at end
    where ${held(tx, claim)}`;
}

/** Ends the claim, if it has not ended, and leaves the notification due. */
export async function yieldClaim(sql: Db, claim: Claim): Promise<void> {
  await sql`update notifications set claim = null, claimed_until = null where ${held(sql, claim)}`;
}

/** For a process that knows that no other is running: what is claimed was claimed by a dead one. */
export async function dropClaims(sql: Db): Promise<void> {
  await sql`update notifications set claim = null, claimed_until = null where claim is not null`;
}

/**
 * Notes that a delivery was taken, with its attempt, and gives a sign of life: one statement, since most attempts end like this.
 * @returns the notification as it is now, which may be disabled meanwhile; undefined, with nothing noted, when it is deleted or claimed by another
 */
export async function noteTaken(
  sql: Db,
  claim: Claim,
  { id, attempts }: Pick<Delivery, 'id' | 'attempts'>,
  { at, durationMs, status, response }: Attempt,
): Promise<Notification | undefined> {
  const [row] = await sql<Notification[]>`
    with held as (
      update notifications set failures = 0, last_error = null, last_delivered_at = now(), claimed_until = now() + make_interval(secs => ${LEASE_SECONDS})
      where ${held(sql, claim)} returning *
    ), delivery as (
      update notification_deliveries d set state = 'delivered', attempts = ${attempts + 1}, finished_at = now()
      from held where d.organization_id = held.organization_id and d.id = ${id}
    ), attempt as (
      insert into notification_attempts (organization_id, delivery_id, attempt, at, duration_ms, status, response)
      select organization_id, ${id}::uuid, ${attempts + 1}::int, ${at}::timestamptz, ${durationMs}::int, ${status}::int, ${response}::text from held
    ) select ${columns(sql)} from held`;
  return row;
}

/** Ends the claim; the URL is left alone until `inSeconds` are over. @returns false when it is disabled or the claim is another's by now */
export async function noteFailure(tx: Db, claim: Claim, error: string, inSeconds: number): Promise<boolean> {
  const noted = await tx`
    update notifications set failures = failures + 1, last_error = ${error}, due_at = now() + make_interval(secs => ${inSeconds}),
      claim = null, claimed_until = null where ${held(tx, claim)} and enabled`;
  return noted.count === 1;
}

/** Ends the claim, and the notification's work until a person enables it again. @returns as `noteFailure` */
export async function noteDisabled(tx: Db, claim: Claim, reason: string): Promise<boolean> {
  const noted = await tx`
    update notifications set enabled = false, disabled_reason = ${reason}, last_error = ${reason}, failures = failures + 1, due_at = null, claim = null,
      claimed_until = null, version = version + 1, updated_at = now() where ${held(tx, claim)}`;
  return noted.count === 1;
}
