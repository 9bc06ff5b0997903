-- Up Migration

-- The cause of the attempt's failure: the same for devices whose errors differ only in numbers, ids, addresses and times. null: it did not fail, or an
-- earlier version recorded the failure.
alter table deployments add column cause text;
-- Failed attempts of a rollout by cause.
create index deployments_failures on deployments (organization_id, rollout_id, coalesce(cause, error_code), device_id) where error_code is not null;

-- What needs a person is found without reading all devices, rollouts and sources.
create index devices_failing on devices (organization_id, source_id) where sync_status in ('failed', 'rolled_back');
create index devices_held_since on devices (organization_id, held_at) where held_at is not null;
create index devices_quarantined on devices (organization_id, sync_status, id) where quarantined_bundle is not null;
create index rollouts_unfinished on rollouts (organization_id, source_id, position desc) where state not in ('completed', 'superseded');
create index sources_unhealthy on sources (organization_id) where error_code is not null or status in ('invalid', 'partial');
