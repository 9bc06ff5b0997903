-- Up Migration

-- Whether plans and rollouts are told at the source's git host, where its kind and token are known.
alter table sources add column report_status boolean not null default true;

-- Merge requests into the branch that a source follows, with what would become of the devices.
create table merge_requests (
  organization_id uuid not null,
  id uuid not null unique,
  source_id uuid not null,
  -- as in the host's URLs
  number integer not null,
  state text not null check (state in ('open', 'closed')),
  title text,
  url text,
  -- where the repository itself shows the head, also of forks
  head_ref text not null,
  -- what the last hook named, and when it came
  hooked_commit text,
  noticed_at timestamptz not null default now(),
  -- the commit that the plan below is of; null: none yet
  head_commit text,
  base_commit text,
  -- error: the plan could not be computed
  verdict text check (verdict in ('valid', 'partial', 'invalid', 'error')),
  -- its author must change it
  is_refused boolean not null default false,
  summary jsonb,
  headline text,
  markdown text,
  planned_at timestamptz,
  -- where the plan stands at the host; none: there is nobody to tell, or nothing yet
  posting text not null default 'none' check (posting in ('none', 'pending', 'posted', 'failed')),
  comment_url text,
  posted_at timestamptz,
  -- attempts in a row that failed, of what is done next: planning, or posting
  failures integer not null default 0,
  error_code text,
  error_detail text,
  -- when it is to be looked at again
  due_at timestamptz default now(),
  closed_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  unique (organization_id, source_id, number),
  foreign key (organization_id, source_id) references sources on delete cascade
);
create index merge_requests_due on merge_requests (due_at) where due_at is not null;

-- What the git host was told last of a rollout, as the status of its commit.
create table rollout_statuses (
  organization_id uuid not null,
  rollout_id uuid not null,
  state text,
  description text,
  posted_at timestamptz,
  failures integer not null default 0,
  error_code text,
  error_detail text,
  -- after a failure: not tried before
  retry_at timestamptz,
  -- when it is to be looked at again
  due_at timestamptz,
  primary key (organization_id, rollout_id),
  foreign key (organization_id, rollout_id) references rollouts on delete cascade
);
create index rollout_statuses_due on rollout_statuses (due_at) where due_at is not null;
