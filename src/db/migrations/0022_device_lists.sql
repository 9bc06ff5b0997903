-- Up Migration

-- Orders and filters of the list of devices. No index has last_seen_at: a heartbeat writes it all the time, and must touch no index (0011).
create index devices_by_name on devices (organization_id, lower(name), id);
create index devices_by_type on devices (organization_id, type, id);
create index devices_by_update on devices (organization_id, updated_at, id);
create index devices_by_site on devices (organization_id, site_id, id);
create index devices_held on devices (organization_id, id) where held_at is not null;
create index devices_archived on devices (organization_id, id) where archived_at is not null;
create index devices_external on devices (organization_id, id) where source_kind = 'EXTERNAL';
create index devices_simulated on devices (organization_id, id) where simulated;

-- Words by which people find a device: its id, its name, and the values of its labels. They stand beside the device, since the index of their trigrams is
-- expensive to write, and a device's status changes often.
create table device_words (
  organization_id uuid not null,
  device_id text not null,
  words text not null,
  primary key (organization_id, device_id),
  foreign key (organization_id, device_id) references devices on delete cascade
);
create function device_words_of(id text, name text, labels jsonb) returns text language sql immutable as $$
  select concat_ws(E'\n', id, name, (select string_agg(value, E'\n' order by key) from jsonb_each_text(labels)))
$$;
create function note_device_words() returns trigger language plpgsql as $$
begin
  update device_words set words = device_words_of(new.id, new.name, new.labels) where organization_id = new.organization_id and device_id = new.id;
  return null;
end $$;
create trigger devices_note_words after update of name, labels on devices for each row
  when ((old.name, old.labels) is distinct from (new.name, new.labels)) execute function note_device_words();
create function add_device_words() returns trigger language plpgsql as $$
begin
  insert into device_words (organization_id, device_id, words) select organization_id, id, device_words_of(id, name, labels) from added;
  return null;
end $$;
create trigger devices_add_words after insert on devices referencing new table as added for each statement execute function add_device_words();
insert into device_words (organization_id, device_id, words) select organization_id, id, device_words_of(id, name, labels) from devices;

-- A server without the extension searches all words.
do $$ begin
  if exists (select 1 from pg_available_extensions where name = 'pg_trgm') then
    create extension if not exists pg_trgm;
    create index device_words_by_trigram on device_words using gin (words gin_trgm_ops);
  end if;
end $$;
