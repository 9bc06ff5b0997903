-- Up Migration

-- Who has to be brought to what their folders hold is found without a look at all devices and folders of a source: their folder is not settled, or they
-- are astray.

-- Settled: no device has been waiting for its bundle since the last completed rollout established it.
alter table source_paths add column settled boolean not null default false;
update source_paths set settled = true where bundle is not distinct from stable_bundle;
create index source_paths_unsettled on source_paths (organization_id, source_id) where not settled;
create index source_paths_invalid on source_paths (organization_id, source_id) where verdict = 'invalid';
create function note_unsettled() returns trigger language plpgsql as $$
begin
  new.settled := false;
  return new;
end $$;
-- Whoever changes a folder, now or in a later version, cannot forget it.
create trigger source_paths_note_unsettled before update on source_paths for each row
  when (new.bundle is distinct from old.bundle or new.bundle is distinct from new.stable_bundle)
  execute function note_unsettled();

-- Astray: it is told to run something else than its folder held when it was last told, when it was bound, or when its folder was settled.
alter table devices add column astray boolean not null default true;
update devices d set astray = false from source_paths p
where p.organization_id = d.organization_id and p.source_id = d.source_id and p.path = d.path and p.bundle is not distinct from d.desired_bundle;
create index devices_astray on devices (organization_id, source_id) where astray and following;
create function note_astray() returns trigger language plpgsql as $$
begin
  new.astray := new.desired_bundle is distinct from (
    select bundle from source_paths where organization_id = new.organization_id and source_id = new.source_id and path = new.path);
  return new;
end $$;
create trigger devices_note_astray before update of desired_bundle, source_id, path on devices for each row
  when ((old.desired_bundle, old.source_id, old.path) is distinct from (new.desired_bundle, new.source_id, new.path))
  execute function note_astray();
