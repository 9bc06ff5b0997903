-- Up Migration

-- Columns named as the rest of the product names their facts. The definitions of 0003 and 0011 hold.
alter table devices rename column condemned_bundle to quarantined_bundle;

-- Released: no device has been waiting for the folder's bundle since the last completed rollout established it.
alter table source_paths rename column settled to released;
alter index source_paths_unsettled rename to source_paths_unreleased;
alter function note_unsettled() rename to note_unreleased;
create or replace function note_unreleased() returns trigger language plpgsql as $$
begin
  new.released := false;
  return new;
end $$;
alter trigger source_paths_note_unsettled on source_paths rename to source_paths_note_unreleased;

-- Diverged: the device is to run something else than its folder held when it was last assigned a bundle, when it was bound, or when its folder was released.
alter table devices rename column astray to diverged;
alter index devices_astray rename to devices_diverged;
alter function note_astray() rename to note_diverged;
create or replace function note_diverged() returns trigger language plpgsql as $$
begin
  new.diverged := new.desired_bundle is distinct from (
    select bundle from source_paths where organization_id = new.organization_id and source_id = new.source_id and path = new.path);
  return new;
end $$;
alter trigger devices_note_astray on devices rename to devices_note_diverged;
