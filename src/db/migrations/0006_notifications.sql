-- Up Migration

create table notifications (
  organization_id uuid not null references organizations,
  id uuid not null,
  name text not null,
  -- may be a credential by itself: shown by its hint only
  url_sealed text not null,
  url_hint text not null,
  format text not null check (format in ('cloudevents', 'json', 'slack')),
  events text[] not null,
  minimum_severity text not null check (minimum_severity in ('info', 'warning', 'error')),
  -- no foreign keys: a filter for what is gone lets nothing through, rather than everything
  source_id uuid,
  site_id uuid,
  labels jsonb not null default '{}',
  enabled boolean not null default true,
  -- why the service itself disabled it
  disabled_reason text,
  secret_sealed text not null,
  secret_last4 text not null,
  -- signs beside the present one until then
  previous_secret_sealed text,
  previous_secret_until timestamptz,
  -- events up to here are decided: each is a delivery, was not wanted, or is counted as dropped
  cursor bigint not null,
  dropped bigint not null default 0,
  -- when it is to be worked at; null while nothing is known to wait
  due_at timestamptz,
  -- who works at it, and until when that holds without another sign of life
  claim uuid,
  claimed_until timestamptz,
  failures integer not null default 0,
  last_error text,
  last_delivered_at timestamptz,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (organization_id, id),
  unique (organization_id, name)
);
create index notifications_due on notifications (due_at) where enabled and due_at is not null;

create table notification_deliveries (
  organization_id uuid not null,
  id uuid not null,
  notification_id uuid not null,
  event_cursor bigint not null,
  event_type text not null,
  subject text not null,
  state text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
  attempts integer not null default 0,
  -- past it, it is given up
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  primary key (organization_id, id),
  unique (organization_id, notification_id, event_cursor),
  foreign key (organization_id, notification_id) references notifications on delete cascade
);
create index notification_deliveries_pending on notification_deliveries (organization_id, notification_id, event_cursor) where state = 'pending';
create index notification_deliveries_by_age on notification_deliveries using brin (created_at);

create table notification_attempts (
  organization_id uuid not null,
  delivery_id uuid not null,
  attempt integer not null,
  at timestamptz not null,
  duration_ms integer not null,
  -- of the answer; null when there was none
  status integer,
  -- why it does not count as taken
  error text,
  -- the beginning of the answer's body
  response text not null,
  primary key (organization_id, delivery_id, attempt),
  foreign key (organization_id, delivery_id) references notification_deliveries on delete cascade
);
