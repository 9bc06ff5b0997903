import type { Db } from '../../db/connect.ts';
import type { Rollout } from '../rollout.ts';

/** A request to approve a rollout, or one wave of it (`wave` not null), and its answer. `decision` null: unanswered. */
export type Approval = {
  id: string;
  wave: number | null;
  requestedAt: Date;
  /** When an unanswered request, or an unused approval, expires. */
  expiresAt: Date | null;
  decision: 'approved' | 'rejected' | 'expired' | null;
  decidedAt: Date | null;
  decidedBy: string | null;
  decidedEmail: string | null;
  decidedFrom: string | null;
  comment: string | null;
};

type Key = Pick<Rollout, 'organizationId' | 'id'>;

const columns = (sql: Db) => sql`
  id, wave, requested_at as "requestedAt", expires_at as "expiresAt", decision, decided_at as "decidedAt", decided_by as "decidedBy",
  decided_email as "decidedEmail", decided_from as "decidedFrom", comment`;

/** Newest last. */
export async function approvalsOf(sql: Db, rollout: Key): Promise<Approval[]> {
  return sql<Approval[]>`
    select ${columns(sql)} from rollout_approvals where organization_id = ${rollout.organizationId} and rollout_id = ${rollout.id} order by requested_at, id`;
}

/** Does nothing if an unanswered request exists. @returns whether the request is new */
export async function requestApproval(
  tx: Db,
  rollout: Key,
  request: { id: string; wave: number | null; expiresInSeconds: number | null },
): Promise<boolean> {
  const result = await tx`
    insert into rollout_approvals (organization_id, id, rollout_id, wave, expires_at)
    values (${rollout.organizationId}, ${request.id}, ${rollout.id}, ${request.wave}, now() + make_interval(secs => ${request.expiresInSeconds}))
    on conflict do nothing`;
  return result.count === 1;
}

/** `expiresInSeconds`: when an unused approval expires. */
export async function decideApproval(
  tx: Db,
  rollout: Key,
  approvalId: string,
  decision: {
    decision: 'approved' | 'rejected';
    by: string;
    email: string | null;
    from: string;
    comment: string | null;
    expiresInSeconds: number | null;
  },
): Promise<void> {
  await tx`
    update rollout_approvals set decision = ${decision.decision}, decided_at = now(), decided_by = ${decision.by}, decided_email = ${decision.email},
      decided_from = ${decision.from}, comment = ${decision.comment}, expires_at = now() + make_interval(secs => ${decision.expiresInSeconds})
    where organization_id = ${rollout.organizationId} and id = ${approvalId} and decision is null`;
}

/** Expires unanswered requests, because the rollout has ended or, with `wave`, because that wave was skipped. */
export async function closeRequests(tx: Db, rollout: Key, wave?: number): Promise<void> {
  await tx`
    update rollout_approvals set decision = 'expired', decided_at = now()
    where organization_id = ${rollout.organizationId} and rollout_id = ${rollout.id} and decision is null ${wave === undefined ? tx`` : tx`and wave = ${wave}`}`;
}
