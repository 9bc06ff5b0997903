-- A push keeps configuration, which may hold secrets, for as long as it is under way: sealed, by `adapter/prepared.ts`. Pushes that an earlier version
-- began keep theirs in `prepared` until they end.
alter table device_pushes add column prepared_sealed text;
alter table device_pushes alter column prepared drop not null;
update device_pushes set prepared = null where step = 'done';
