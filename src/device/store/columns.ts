import type { Db } from '../../db/connect.ts';

/** Columns of a `Device`, of a row `d` of devices. */
export const columns = (sql: Db) => sql`
  d.organization_id as "organizationId", d.id, d.name, d.type, d.labels, d.site_id as "siteId", d.adapter, d.simulated,
  d.source_kind as "sourceKind", d.integration_metadata as "integrationMetadata", d.archived_at as "archivedAt", d.source_id as "sourceId", d.path, d.following, d.workspace,
  d.desired_bundle as "desiredBundle", d.desired_revision_id as "desiredRevisionId", d.deployment_id as "deploymentId", d.sequence,
  d.good_bundle as "goodBundle", d.good_revision_id as "goodRevisionId", d.reported_bundle as "reportedBundle", d.reported_at as "reportedAt",
  d.quarantined_bundle as "quarantinedBundle", d.drifted_paths as "driftedPaths",
  d.sync_status as "syncStatus", d.sync_since as "syncSince", d.connectivity, d.last_seen_at as "lastSeenAt",
  d.agent_version as "agentVersion", d.error_code as "errorCode", d.error_detail as "errorDetail",
  case when d.held_at is not null then jsonb_build_object('at', d.held_at, 'by', d.held_by, 'reason', d.hold_reason,
    'untilNewerRevision', d.hold_until_newer, 'revisionId', d.hold_revision_id) end as hold,
  d.instance, d.instance_since as "instanceSince", d.instance_returns as "instanceReturns", d.instance_returned_at as "instanceReturnedAt",
  d.cloned_since as "clonedSince", d.version, d.created_at as "createdAt", d.updated_at as "updatedAt"`;
