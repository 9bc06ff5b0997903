-- Up Migration

-- LOCAL: registered here. EXTERNAL: a shadow of a device that an integration manages.
alter table devices drop constraint devices_source_kind_check;
alter table devices alter column source_kind set default 'LOCAL';
update devices set source_kind = 'LOCAL' where source_kind = 'GIT';
alter table devices add constraint devices_source_kind_check check (source_kind in ('LOCAL', 'EXTERNAL'));
-- All that is a vendor's about a device: {"provider", "integration", "external_id", "sync_status", "attributes", "state", "health", …}.
alter table devices add column integration_metadata jsonb;
-- The device is gone at its vendor. It keeps its history, takes no part in rollouts, and returns when the vendor shows it again.
alter table devices add column archived_at timestamptz;
-- When a field that is synced was last changed here: {"name": "2026-12-01T10:00:00Z"}.
alter table devices add column field_times jsonb not null default '{}';

-- Accounts on device platforms.
create table device_services (
  organization_id uuid not null references organizations,
  -- known to the queue and to hooks, unique in the whole service
  id uuid not null unique,
  -- made of the type and a count, unique in the organization: golioth, golioth_2
  slug text not null,
  name text not null,
  service_type text not null,
  -- settings without secrets, as the provider's schema gives them
  config jsonb not null default '{}',
  credentials_sealed text,
  -- the last characters of each credential
  credentials_hint jsonb not null default '{}',
  -- the secret of inbound hooks
  hook_secret_sealed text,
  hook_secret_last4 text,
  is_active boolean not null default true,
  is_primary boolean not null default false,
  direction text not null default 'import' check (direction in ('import', 'export', 'both')),
  strategy text not null default 'remote_wins' check (strategy in ('local_wins', 'remote_wins', 'newest_wins', 'manual', 'merge')),
  -- synced fields; null: all that the provider has
  fields text[],
  -- {"name": {"direction": "export", "strategy": "local_wins"}}
  field_rules jsonb not null default '{}',
  auto_sync boolean not null default true,
  interval_seconds integer not null check (interval_seconds between 60 and 86400),
  next_run_at timestamptz,
  -- who asked for the next run; null: the schedule
  requested_by text,
  last_run_at timestamptz,
  last_success_at timestamptz,
  failures integer not null default 0,
  error_code text,
  error_detail text,
  -- nothing is asked of the platform until a person gives new credentials
  blocked_reason text,
  -- since when the warning stands that no sync succeeded in time
  stale_since timestamptz,
  -- full walks of all devices so far; a device is gone after two without it
  walks bigint not null default 0,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (organization_id, id),
  unique (organization_id, slug)
);
create unique index device_services_primary on device_services (organization_id) where is_primary;
create index device_services_due on device_services (next_run_at) where is_active and auto_sync and blocked_reason is null;

-- Whether an organization syncs at all: a switch that stops everything and removes nothing.
alter table organizations add column device_sync_enabled boolean not null default true;

-- Which device is which at a platform.
create table device_service_assignments (
  organization_id uuid not null,
  service_id uuid not null,
  device_id text not null,
  -- null: a local device that the next sync creates at the platform
  external_id text,
  -- other ids by which the platform shows the same device: [{"kind": "certificate", "value": "…"}]
  identities jsonb not null default '[]',
  -- last common value per field
  base jsonb not null default '{}',
  -- hash of what the platform showed last; equal: nothing to decide
  remote_hash text,
  -- the walk that saw it last
  seen_walk bigint not null default 0,
  -- what the device's last failure was, and when it is written to the platform, for the first time or again
  error_code text,
  error_detail text,
  failures integer not null default 0,
  retry_at timestamptz,
  synced_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (organization_id, service_id, device_id),
  unique (organization_id, service_id, external_id),
  foreign key (organization_id, service_id) references device_services on delete cascade,
  foreign key (organization_id, device_id) references devices on delete cascade
);
create index device_service_assignments_by_device on device_service_assignments (organization_id, device_id);
create index device_service_assignments_retry on device_service_assignments (retry_at) where retry_at is not null;
-- Shadow devices by their id at the platform, also those that no integration has any more.
create index devices_by_external_id on devices (organization_id, (integration_metadata ->> 'external_id')) where source_kind = 'EXTERNAL';

-- One row per run (device_id null), and one per device that a run changed.
create table device_sync_log (
  organization_id uuid not null,
  service_id uuid not null,
  id bigint generated always as identity,
  run_id uuid not null,
  device_id text,
  external_id text,
  operation text not null,
  direction text,
  trigger text,
  status text not null,
  -- of a run: {"created": 1, "updated": 2, …}; of a device: {"name": {"from": …, "to": …, "side": "local"}}
  details jsonb not null default '{}',
  error_code text,
  error_detail text,
  -- where a run that was cut off goes on: the next page, and whether all pages were read
  cursor text,
  walk bigint,
  walked boolean not null default false,
  -- the process that runs it: another one takes over a run without heartbeats, and the first can write nothing any more
  owner uuid,
  started_at timestamptz not null default now(),
  heartbeat_at timestamptz,
  finished_at timestamptz,
  duration_ms integer,
  primary key (organization_id, service_id, id),
  foreign key (organization_id, service_id) references device_services on delete cascade
);
create unique index device_sync_log_running on device_sync_log (organization_id, service_id) where device_id is null and status = 'running';
create index device_sync_log_heartbeats on device_sync_log (heartbeat_at) where device_id is null and status = 'running';
create index device_sync_log_runs on device_sync_log (organization_id, service_id, id desc) where device_id is null;
create index device_sync_log_by_run on device_sync_log (organization_id, run_id);
create index device_sync_log_by_device on device_sync_log (organization_id, device_id, id desc) where device_id is not null;
create index device_sync_log_by_age on device_sync_log using brin (started_at);

-- Fields that both sides changed since their last common value.
create table device_conflicts (
  organization_id uuid not null,
  id uuid not null,
  service_id uuid not null,
  device_id text not null,
  field text not null,
  base jsonb,
  local jsonb,
  remote jsonb,
  local_changed_at timestamptz,
  remote_changed_at timestamptz,
  state text not null check (state in ('open', 'resolved', 'obsolete')),
  -- local, remote, value, newest, merge
  resolution text,
  value jsonb,
  -- a strategy, or who
  resolved_by text,
  resolved_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, service_id, device_id) references device_service_assignments on delete cascade
);
create unique index device_conflicts_open on device_conflicts (organization_id, service_id, device_id, field) where state = 'open';
create index device_conflicts_by_age on device_conflicts (organization_id, created_at desc, id);

-- Hooks that were taken: the same one again within the window has no effect.
create table integration_hooks (
  organization_id uuid not null,
  service_id uuid not null,
  -- the platform's delivery id, or the hash of the content
  delivery text not null,
  received_at timestamptz not null default now(),
  primary key (organization_id, service_id, delivery),
  foreign key (organization_id, service_id) references device_services on delete cascade
);
create index integration_hooks_by_age on integration_hooks (received_at);

-- How far the delivery of a bundle through a platform has come, so that another process goes on after a crash.
create table device_pushes (
  organization_id uuid not null,
  deployment_id uuid not null,
  device_id text not null,
  adapter text not null,
  service_id uuid,
  step text not null check (step in ('prepared', 'applying', 'verifying', 'confirming', 'cancelling', 'done')),
  -- sent with the change or kept beside it: shows whose change it is
  token text not null,
  -- what shall be, and what was before
  prepared jsonb not null,
  receipt jsonb,
  verdict text,
  detail text,
  not_before timestamptz,
  -- failures of the step in a row
  tries integer not null default 0,
  updated_at timestamptz not null default now(),
  primary key (organization_id, deployment_id),
  foreign key (organization_id, device_id) references devices on delete cascade
);
create index device_pushes_by_device on device_pushes (organization_id, device_id, deployment_id desc);
create index device_pushes_unfinished on device_pushes (organization_id, not_before) where step <> 'done';

-- `unverified`: the platform took the bundle and shows no device's state, so that nobody knows whether it runs.
alter table devices drop constraint devices_sync_status_check;
alter table devices add constraint devices_sync_status_check
  check (sync_status in ('unmanaged', 'in_sync', 'unverified', 'pending', 'updating', 'failed', 'rolled_back', 'drifted', 'held'));

-- A command that a platform runs: its id there, by which the outcome is found.
alter table commands add column external_reference text;
