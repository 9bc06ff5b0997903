import type { Db } from '../../db/connect.ts';
import { FAILURES_TO_SHOW } from '../../db/job-failures-store.ts';
import type { QueueName } from '../../db/queue.ts';
import { FAILURES_TO_REPORT } from '../../notification/notification.ts';

export type IntegrationRow = {
  id: string;
  slug: string;
  name: string;
  blockedReason: string | null;
  staleSince: Date | null;
  errorDetail: string | null;
  lastSuccessAt: Date | null;
  nextRunAt: Date | null;
  updatedAt: Date;
  devices: number;
};

/** Integrations that are blocked, or were not synced in time. An organization has at most a hundred. */
export async function troubledIntegrations(sql: Db, organizationId: string): Promise<IntegrationRow[]> {
  return sql<IntegrationRow[]>`
    select s.id, s.slug, s.name, s.blocked_reason as "blockedReason", s.stale_since as "staleSince", s.error_detail as "errorDetail",
      s.last_success_at as "lastSuccessAt", s.next_run_at as "nextRunAt", s.updated_at as "updatedAt",
      (select count(*)::int from device_service_assignments a where a.organization_id = s.organization_id and a.service_id = s.id) as devices
    from device_services s
    where s.organization_id = ${organizationId} and s.is_active and (s.blocked_reason is not null or s.stale_since is not null)
    order by s.stale_since nulls last, s.slug`;
}

export type ConflictRow = { slug: string; name: string; count: number; firstDevice: string; since: Date };

export async function openConflicts(sql: Db, organizationId: string): Promise<ConflictRow[]> {
  return sql<ConflictRow[]>`
    select s.slug, s.name, c.count, c."firstDevice", c.since from (
      select service_id, count(*)::int as count, min(device_id) as "firstDevice", min(created_at) as since
      from device_conflicts where organization_id = ${organizationId} and state = 'open' group by service_id
    ) c join device_services s on s.organization_id = ${organizationId} and s.id = c.service_id order by c.count desc, s.slug`;
}

export type NotificationRow = {
  id: string;
  name: string;
  disabledReason: string | null;
  failures: number;
  lastError: string | null;
  since: Date;
  dueAt: Date | null;
};

/** Notifications that cannot be delivered, or that the service disabled therefore. */
export async function failingNotifications(sql: Db, organizationId: string): Promise<NotificationRow[]> {
  return sql<NotificationRow[]>`
    select id, name, disabled_reason as "disabledReason", failures, last_error as "lastError", coalesce(last_delivered_at, updated_at) as since,
      due_at as "dueAt"
    from notifications
    where organization_id = ${organizationId} and (disabled_reason is not null or (enabled and failures >= ${FAILURES_TO_REPORT})) order by since, id`;
}

export type JobRow = {
  queue: QueueName;
  key: string;
  error: string;
  devices: number;
  firstDevice: string | null;
  since: Date;
  retryAt: Date;
};

/** Jobs of the organization that keep failing: their keys name the organization itself, or one of its rows. */
export async function failingJobs(sql: Db, organizationId: string): Promise<JobRow[]> {
  return sql<JobRow[]>`
    select f.queue, f.key, f.error, coalesce(cardinality(f.device_ids), 0) as devices, f.device_ids[1] as "firstDevice", f.since, f.retry_at as "retryAt"
    from (select * from job_failures where failures >= ${FAILURES_TO_SHOW}) f
    where f.key = ${organizationId}
      or exists (select 1 from sources s where s.organization_id = ${organizationId} and s.id::text = f.key)
      or exists (select 1 from rollouts r where r.organization_id = ${organizationId} and r.id::text = f.key)
      or exists (select 1 from merge_requests m where m.organization_id = ${organizationId} and m.id::text = f.key)
      or exists (select 1 from device_services i where i.organization_id = ${organizationId} and i.id::text = f.key)
    order by f.since, f.queue`;
}
