-- Up Migration

-- A foreign key is checked, and its check planned, for each row: half the time of an import of devices. These tables take rows in bulk. Each statement that
-- adds rows to them locks once what they belong to, and the triggers remove them with it: no row stands without its device or integration, as before.
alter table device_words drop constraint device_words_organization_id_device_id_fkey;
alter table device_service_assignments drop constraint device_service_assignments_organization_id_device_id_fkey;
alter table device_service_assignments drop constraint device_service_assignments_organization_id_service_id_fkey;
alter table device_sync_log drop constraint device_sync_log_organization_id_service_id_fkey;

create function remove_device_rows() returns trigger language plpgsql as $$
begin
  delete from device_words w using removed r where w.organization_id = r.organization_id and w.device_id = r.id;
  delete from device_service_assignments a using removed r where a.organization_id = r.organization_id and a.device_id = r.id;
  return null;
end $$;
create trigger devices_remove_rows after delete on devices referencing old table as removed for each statement execute function remove_device_rows();

create function remove_service_rows() returns trigger language plpgsql as $$
begin
  delete from device_sync_log l using removed r where l.organization_id = r.organization_id and l.service_id = r.id;
  delete from device_service_assignments a using removed r where a.organization_id = r.organization_id and a.service_id = r.id;
  return null;
end $$;
create trigger device_services_remove_rows after delete on device_services referencing old table as removed
  for each statement execute function remove_service_rows();
