-- Up Migration

create table sites (
  organization_id uuid not null references organizations,
  id uuid not null,
  name text not null,
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  unique (organization_id, name)
);

create table devices (
  organization_id uuid not null references organizations,
  id text not null check (id ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
  name text not null,
  type text not null,
  labels jsonb not null default '{}',
  site_id uuid,
  adapter text not null default 'agent',
  adapter_settings jsonb not null default '{}',
  simulated boolean not null default false,
  source_kind text not null default 'GIT' check (source_kind in ('GIT', 'EXTERNAL')),
  -- binding; following is what start and stop switch
  source_id uuid,
  path text,
  following boolean not null default false,
  -- directory of the device on the controller, and the bundle that its `current` holds
  workspace text,
  workspace_bundle text,
  -- what it is told to run, by which attempt; the sequence grows with every change of that
  desired_bundle text,
  desired_revision_id uuid,
  desired_force boolean not null default false,
  deployment_id uuid,
  sequence bigint not null default 0,
  -- the last bundle that it confirmed, and what it says that it runs
  good_bundle text,
  good_revision_id uuid,
  reported_bundle text,
  reported_sequence bigint not null default 0,
  -- the device's own time of that word: an older one that comes later does not count
  reported_at timestamptz,
  drifted_paths jsonb,
  -- a bundle that it rolled back from: automation does not try it again
  condemned_bundle text,
  sync_status text not null default 'unmanaged'
    check (sync_status in ('unmanaged', 'in_sync', 'pending', 'updating', 'failed', 'rolled_back', 'drifted', 'held')),
  sync_since timestamptz not null default now(),
  connectivity text not null default 'unknown' check (connectivity in ('online', 'offline', 'unknown')),
  last_seen_at timestamptz,
  agent_version text,
  error_code text,
  error_detail text,
  -- "leave it where it is"
  held_at timestamptz,
  held_by text,
  hold_reason text,
  hold_until_newer boolean not null default false,
  hold_revision_id uuid,
  version integer not null default 1,
  -- the enrolment token that made it: with the same one, a device that was cut off before it kept its key may enrol again
  enrolment_token_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, source_id) references sources (organization_id, id),
  foreign key (organization_id, site_id) references sites (organization_id, id)
);
create index devices_by_binding on devices (organization_id, source_id, path) where source_id is not null;
create index devices_by_status on devices (organization_id, sync_status, id);
create index devices_online on devices (last_seen_at) where connectivity = 'online';
create index devices_by_labels on devices using gin (labels jsonb_path_ops);
-- a poll changes these often: leave room on the page, so that the update stays off the indexes
alter table devices set (fillfactor = 70);

create table device_keys (
  organization_id uuid not null,
  device_id text not null,
  hash bytea not null unique,
  last4 text not null,
  created_at timestamptz not null default now(),
  -- an old key keeps working this long after a rotation
  expires_at timestamptz,
  foreign key (organization_id, device_id) references devices on delete cascade
);
create index device_keys_by_device on device_keys (organization_id, device_id);

create table enrolment_tokens (
  organization_id uuid not null references organizations,
  id uuid not null,
  hash bytea not null unique,
  last4 text not null,
  site_id uuid,
  source_id uuid,
  labels jsonb not null default '{}',
  uses_left integer not null,
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, source_id) references sources (organization_id, id) on delete cascade,
  foreign key (organization_id, site_id) references sites (organization_id, id)
);

create table rollouts (
  organization_id uuid not null,
  id uuid not null unique,
  source_id uuid not null,
  revision_id uuid not null,
  state text not null check (state in ('planned', 'awaiting_approval', 'running', 'paused', 'completed', 'aborted', 'reverting', 'reverted', 'superseded')),
  policy jsonb not null,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  primary key (organization_id, id),
  foreign key (organization_id, source_id) references sources (organization_id, id) on delete cascade
);
create index rollouts_open on rollouts (organization_id, source_id) where state in ('planned', 'awaiting_approval', 'running', 'paused', 'reverting');

create table deployments (
  organization_id uuid not null,
  id uuid not null unique,
  device_id text not null,
  rollout_id uuid,
  wave integer,
  revision_id uuid,
  bundle text not null,
  previous_bundle text,
  kind text not null check (kind in ('change', 'rollback', 'heal', 'retry')),
  state text not null check (state in
    ('queued', 'delivering', 'applying', 'confirming', 'succeeded', 'failed', 'rolled_back', 'superseded', 'cancelled', 'timed_out')),
  attempt integer not null default 1,
  -- past it a step that has begun is given up; null while it waits for the device
  deadline_at timestamptz,
  -- a failed attempt that is worth another gets one at this time
  retry_at timestamptz,
  error_code text,
  error_detail text,
  created_at timestamptz not null default now(),
  delivering_at timestamptz,
  applying_at timestamptz,
  confirming_at timestamptz,
  finished_at timestamptz,
  primary key (organization_id, id),
  foreign key (organization_id, device_id) references devices on delete cascade
);
create index deployments_by_device on deployments (organization_id, device_id, created_at desc);
create index deployments_by_rollout on deployments (organization_id, rollout_id, state) where rollout_id is not null;
create index deployments_by_deadline on deployments (deadline_at) where deadline_at is not null;
create index deployments_by_retry on deployments (retry_at) where retry_at is not null;
-- one attempt at a time
create unique index deployments_open on deployments (organization_id, device_id)
  where state in ('queued', 'delivering', 'applying', 'confirming');

-- A row that pins the bundle from before a change; content addressing keeps its bytes.
create table backups (
  organization_id uuid not null,
  id uuid not null,
  device_id text not null,
  bundle text,
  revision_id uuid,
  reported_bundle text,
  deployment_id uuid,
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, device_id) references devices on delete cascade
);
create index backups_by_device on backups (organization_id, device_id, created_at desc);

create table device_logs (
  organization_id uuid not null,
  device_id text not null,
  id bigint generated always as identity,
  report_id uuid,
  deployment_id uuid,
  at timestamptz not null,
  level text not null,
  message text not null,
  primary key (organization_id, device_id, id),
  unique (organization_id, device_id, report_id),
  foreign key (organization_id, device_id) references devices on delete cascade
);

create table commands (
  organization_id uuid not null,
  id uuid not null,
  device_id text not null,
  type text not null,
  payload jsonb not null default '{}',
  state text not null default 'queued' check (state in ('queued', 'sent', 'completed', 'failed', 'expired', 'cancelled')),
  result jsonb,
  created_by text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  sent_at timestamptz,
  finished_at timestamptz,
  primary key (organization_id, id),
  foreign key (organization_id, device_id) references devices on delete cascade
);
create index commands_open on commands (organization_id, device_id, created_at) where state in ('queued', 'sent');
create index commands_by_device on commands (organization_id, device_id, created_at desc);
create index commands_by_expiry on commands (expires_at) where state in ('queued', 'sent');

create table telemetry (
  organization_id uuid not null,
  device_id text not null,
  at timestamptz not null,
  metrics jsonb not null,
  primary key (organization_id, device_id, at),
  foreign key (organization_id, device_id) references devices on delete cascade
);
create index telemetry_by_age on telemetry using brin (at);
