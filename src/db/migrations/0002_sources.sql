-- Up Migration

create table sources (
  organization_id uuid not null references organizations,
  id uuid not null unique,
  name text not null,
  url text not null,
  ref text not null,
  layout text not null check (layout in ('repo', 'fleet')),
  auth_sealed text,
  auth_hint text,
  webhook_provider text,
  webhook_secret_sealed text,
  webhook_secret_last4 text,
  poll_interval_seconds integer not null,
  all_or_nothing boolean not null default false,
  drift_policy text not null default 'heal' check (drift_policy in ('heal', 'report')),
  rollout_policy jsonb not null default '{}',
  -- what the last sync found
  status text not null default 'new',
  head_commit text,
  -- the commit whose outcome is stored below in source_paths; the tree of the next one is compared with it
  prepared_commit text,
  revision_id uuid,
  last_checked_at timestamptz,
  last_synced_at timestamptz,
  error_code text,
  error_detail text,
  failures integer not null default 0,
  -- a hook named this commit and the remote has not shown it yet
  expected_commit text,
  expected_until timestamptz,
  -- when it is to be looked at again; the poller claims what is due
  next_check_at timestamptz not null default now(),
  hook_received_at timestamptz,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (organization_id, id),
  unique (organization_id, name)
);
create index sources_due on sources (next_check_at);

create table hook_deliveries (
  organization_id uuid not null,
  source_id uuid not null,
  delivery_id text not null,
  provider text not null,
  event text not null,
  ref text,
  commit_oid text,
  verdict text not null,
  received_at timestamptz not null default now(),
  primary key (organization_id, source_id, delivery_id),
  foreign key (organization_id, source_id) references sources on delete cascade
);
create index hook_deliveries_by_age on hook_deliveries (organization_id, source_id, received_at desc);

-- Bytes of configuration files, and bundles made of them: content-addressed, immutable, shared by revisions and devices of an organization.
create table blobs (
  organization_id uuid not null references organizations,
  digest text not null check (digest ~ '^[0-9a-f]{64}$'),
  content bytea not null,
  primary key (organization_id, digest)
);
create table bundles (
  organization_id uuid not null references organizations,
  digest text not null check (digest ~ '^[0-9a-f]{64}$'),
  manifest jsonb not null,
  -- JSON pointers of the values that a schema marks secret, by file: what previews and diffs leave out besides secret-like names
  secret_pointers jsonb not null default '{}',
  -- of the archive, bytes
  size bigint not null,
  created_at timestamptz not null default now(),
  primary key (organization_id, digest)
);

create table revisions (
  organization_id uuid not null,
  id uuid not null unique,
  source_id uuid not null,
  commit_oid text not null,
  ref text not null,
  author_name text not null,
  author_email text not null,
  message text not null,
  committed_at timestamptz not null,
  -- valid: every device folder; partial: some are blocked; invalid: nothing of it goes anywhere
  verdict text not null check (verdict in ('valid', 'partial', 'invalid')),
  signature_verdict text not null default 'unsigned_not_required',
  errors jsonb not null default '[]',
  paths_changed integer not null default 0,
  paths_invalid integer not null default 0,
  -- milliseconds of each stage from wake-up to stored
  timings jsonb not null default '{}',
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  unique (organization_id, source_id, commit_oid),
  foreign key (organization_id, source_id) references sources on delete cascade
);
create index revisions_by_age on revisions (organization_id, source_id, created_at desc);

-- The present state of every device folder of a source.
create table source_paths (
  organization_id uuid not null,
  source_id uuid not null,
  path text not null,
  -- the last bundle that was valid, and the revision that brought it
  candidate_bundle text,
  candidate_revision_id uuid,
  -- the bundle that devices of this folder are to run; lags behind the candidate only while an all-or-nothing source waits for a valid commit
  bundle text,
  revision_id uuid,
  -- the last evaluation, valid or not
  verdict text not null check (verdict in ('valid', 'invalid', 'missing')),
  evaluated_revision_id uuid not null,
  errors jsonb not null default '[]',
  dependencies text[] not null default '{}',
  updated_at timestamptz not null default now(),
  primary key (organization_id, source_id, path),
  foreign key (organization_id, source_id) references sources on delete cascade
);
create index source_paths_waiting on source_paths (organization_id, source_id) where candidate_bundle is distinct from bundle;

-- What each revision did to each folder that it touched.
create table revision_paths (
  organization_id uuid not null,
  revision_id uuid not null,
  path text not null,
  verdict text not null,
  bundle text,
  errors jsonb not null default '[]',
  primary key (organization_id, revision_id, path),
  foreign key (organization_id, revision_id) references revisions on delete cascade
);
