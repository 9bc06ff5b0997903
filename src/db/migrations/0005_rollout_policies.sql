-- Up Migration

-- What the last completed rollout established: late joiners get it while a newer one is under way or was aborted, and reverts lead back to it.
alter table source_paths add column stable_bundle text, add column stable_revision_id uuid;
update source_paths set stable_bundle = bundle, stable_revision_id = revision_id;

-- The policy that the commit itself carries.
alter table revisions
  add column rollout_policy jsonb,
  -- what a revert commit names
  add column tree_oid text;

-- "Leave it where it is", for everything of a source or at a site.
alter table sources
  add column held_at timestamptz,
  add column held_by text,
  add column hold_reason text,
  -- whether a `rollout:` in the repository counts, or only the policy that is set here
  add column policy_from text not null default 'git' check (policy_from in ('git', 'source'));
alter table sites add column held_at timestamptz, add column held_by text, add column hold_reason text;

-- Whose token it is, as commits name authors: who approves must be told apart from who wrote.
alter table tokens add column email text;

-- Since when a device belongs to the rollouts of its source, and since when it answers.
alter table devices add column followed_at timestamptz not null default now(), add column online_since timestamptz;
create function note_following() returns trigger language plpgsql as $$
begin
  new.followed_at := now();
  return new;
end $$;
create trigger devices_note_following before update of source_id, path, following on devices for each row
  when (old.source_id is distinct from new.source_id or old.path is distinct from new.path or old.following is distinct from new.following)
  execute function note_following();

update sources set rollout_policy = rollout_policy - 'strategy';
update rollouts set policy = policy - 'strategy';
alter table rollouts
  -- `revision`: what Git says; `rollback`: back to an older revision on an operator's word
  add column kind text not null default 'revision' check (kind in ('revision', 'rollback')),
  add column reason text,
  add column created_by text not null default 'controller',
  -- why it does nothing now: {code, detail}, and when it is to be looked at again
  add column waiting jsonb,
  add column next_look_at timestamptz,
  -- why it was aborted, or what its reverting left behind
  add column end_code text,
  add column end_detail text,
  -- an operator let it go on outside of its windows
  add column windows_overridden_by text,
  add column version integer not null default 1,
  -- drawn while the source is locked: the highest of a source says what its devices are to run
  add column position bigint generated always as identity;
create index rollouts_due on rollouts (next_look_at) where next_look_at is not null;
create index rollouts_by_source on rollouts (organization_id, source_id, position desc);

create table rollout_waves (
  organization_id uuid not null,
  rollout_id uuid not null,
  wave integer not null,
  opened_at timestamptz not null default now(),
  passed_at timestamptz,
  -- by whom, when an operator did not wait for its gate
  skipped_by text,
  primary key (organization_id, rollout_id, wave),
  foreign key (organization_id, rollout_id) references rollouts on delete cascade
);

create table rollout_approvals (
  organization_id uuid not null,
  id uuid not null,
  rollout_id uuid not null,
  -- null: the rollout as a whole
  wave integer,
  requested_at timestamptz not null default now(),
  -- past it an open request is given up, and a given approval lapses
  expires_at timestamptz,
  decision text check (decision in ('approved', 'rejected', 'expired')),
  decided_at timestamptz,
  decided_by text,
  decided_email text,
  decided_from text,
  comment text,
  primary key (organization_id, id),
  foreign key (organization_id, rollout_id) references rollouts on delete cascade
);
create unique index rollout_approvals_open on rollout_approvals (organization_id, rollout_id, coalesce(wave, -1)) where decision is null;

alter table deployments
  -- of the whole attempt once it has begun, and how often it may be tried; null: the defaults
  add column timeout_seconds integer,
  add column max_attempts integer,
  -- the device is busy: it begins by itself at this time, and must not put it off beyond `begin_before`
  add column deferred_until timestamptz,
  add column defer_reason text,
  add column begin_before timestamptz;
-- An attempt that a device does not begin although it answers.
create index deployments_queued on deployments (created_at) where state = 'queued';
