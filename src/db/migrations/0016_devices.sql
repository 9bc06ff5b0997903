-- Up Migration

-- How often the git host was asked to show the rollout: hosts bound the statuses of a commit, and the last one must still be taken.
alter table rollout_statuses add column posts integer not null default 0;

-- Where fleet.yaml of the prepared commit puts device folders; null: not known yet, or the repository is one device's.
alter table sources add column device_patterns text[];
-- When the folder came into the source, or came back.
alter table source_paths add column appeared_at timestamptz not null default now();

-- Machines that enrol under the id of a device that is registered, and what an operator decided about them.
create table device_reenrolments (
  organization_id uuid not null,
  device_id text not null,
  -- who asks: the agent's instance and address, and whether its token may let it in by itself
  instance text,
  address text,
  requested_at timestamptz,
  last_requested_at timestamptz,
  -- until then a valid token lets it in; only the instance that had asked by the time, where one had
  allowed_until timestamptz,
  allowed_instance text,
  allowed_by text,
  primary key (organization_id, device_id),
  foreign key (organization_id, device_id) references devices on delete cascade
);
-- The token lets devices in again that are registered already, without an operator.
alter table enrolment_tokens add column reenrol boolean not null default false;

-- The agent that spoke last with the device's key, since when, and how often one came back after another had spoken.
alter table devices
  add column instance text,
  add column instance_since timestamptz,
  add column instance_returns integer not null default 0,
  add column instance_returned_at timestamptz,
  -- since when two agents use the device's key in turn
  add column cloned_since timestamptz;
create index devices_cloned on devices (instance_returned_at) where cloned_since is not null;

-- The last agents that used a device's key.
create table device_instances (
  organization_id uuid not null,
  device_id text not null,
  -- `<machine>.<start>`: the same machine, or another start
  instance text not null,
  address text not null,
  last_seen_at timestamptz not null,
  primary key (organization_id, device_id, instance),
  foreign key (organization_id, device_id) references devices on delete cascade
);
