-- Up Migration

-- Whether what the folders of a source give may depend on the devices that are bound to them: layers by label or site, templates.
alter table sources add column per_device boolean not null default false;
-- It is invalid as long as no device is bound to the folder, on which it depends: nothing that the commit is blamed for.
alter table source_paths add column tentative boolean not null default false;

-- Folders of fleets of which something about their devices changed since they were evaluated. Without a foreign key, whose check would let a change of a
-- device wait for the lock of its source.
create sequence stale_marks;
create table stale_paths (
  organization_id uuid not null,
  source_id uuid not null,
  path text not null,
  -- another one with every change, so that a change that comes during an evaluation outlasts it
  mark bigint not null default nextval('stale_marks'),
  primary key (organization_id, source_id, path)
);
-- Those that are to be evaluated again before their bundle goes to anybody.
create view awaiting_evaluation as
  select m.organization_id, m.source_id, m.path from stale_paths m
  join sources s on s.organization_id = m.organization_id and s.id = m.source_id and s.per_device;

-- Whoever changes a device, now or in a later version, cannot forget its folder. Fleets that do not depend on devices are marked as well: while one
-- begins to, changes must not be lost.
create function mark_devices_stale() returns trigger language plpgsql as $$
begin
  insert into stale_paths (organization_id, source_id, path)
  select distinct c.organization_id, c.source_id, c.path
  from changed c join sources s on s.organization_id = c.organization_id and s.id = c.source_id and s.layout = 'fleet'
  where c.path is not null order by 1, 2, 3
  on conflict (organization_id, source_id, path) do update set mark = excluded.mark;
  return null;
end $$;
create trigger devices_stale_inserted after insert on devices referencing new table as changed
  for each statement execute function mark_devices_stale();
create trigger devices_stale_deleted after delete on devices referencing old table as changed
  for each statement execute function mark_devices_stale();

create function mark_device_stale() returns trigger language plpgsql as $$
begin
  insert into stale_paths (organization_id, source_id, path)
  select distinct b.organization_id, b.source_id, b.path
  from (values (old.organization_id, old.source_id, old.path), (new.organization_id, new.source_id, new.path)) as b (organization_id, source_id, path)
  join sources s on s.organization_id = b.organization_id and s.id = b.source_id and s.layout = 'fleet'
  where b.path is not null order by 1, 2, 3
  on conflict (organization_id, source_id, path) do update set mark = excluded.mark;
  return null;
end $$;
-- Devices change with every report: only these columns, and only other values in them, count.
create trigger devices_stale_updated after update of name, type, labels, site_id, source_id, path on devices for each row
  when ((old.name, old.type, old.labels, old.site_id, old.source_id, old.path)
    is distinct from (new.name, new.type, new.labels, new.site_id, new.source_id, new.path))
  execute function mark_device_stale();

create function mark_site_stale() returns trigger language plpgsql as $$
begin
  insert into stale_paths (organization_id, source_id, path)
  select distinct d.organization_id, d.source_id, d.path
  from devices d join sources s on s.organization_id = d.organization_id and s.id = d.source_id and s.layout = 'fleet'
  where d.organization_id = new.organization_id and d.site_id = new.id and d.path is not null order by 1, 2, 3
  on conflict (organization_id, source_id, path) do update set mark = excluded.mark;
  return null;
end $$;
create trigger sites_stale_renamed after update of name on sites for each row
  when (old.name is distinct from new.name) execute function mark_site_stale();

create function forget_stale() returns trigger language plpgsql as $$
begin
  delete from stale_paths where organization_id = old.organization_id and source_id = old.id;
  return null;
end $$;
create trigger sources_stale_deleted after delete on sources for each row execute function forget_stale();
