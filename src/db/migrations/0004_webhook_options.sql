-- Up Migration

alter table sources add column webhook_options jsonb;

-- Refused deliveries and repetitions are kept, too: they have no event, and say why.
alter table hook_deliveries
  alter column event drop not null,
  add column detail text,
  add column position bigint generated always as identity;
create index hook_deliveries_by_position on hook_deliveries (organization_id, source_id, position desc);
drop index hook_deliveries_by_age;
-- What may be thrown away: no delivery was taken because of it.
create index hook_deliveries_noted on hook_deliveries (organization_id, source_id, position desc)
  where verdict in ('duplicate', 'unauthorized', 'expired', 'malformed');
