-- Up Migration

-- The host's id of the repository that hooks were about: it survives a rename.
alter table sources add column hook_repository_id text;

-- What a hook's commit replaced, as the hook says. A commit that another hook replaces is not waited for.
alter table sources add column expected_before text;
alter table hook_deliveries add column before_oid text;
create index hook_deliveries_replaced on hook_deliveries (organization_id, source_id, before_oid) where before_oid is not null;

-- What may be thrown away: no delivery was taken because of it.
drop index hook_deliveries_noted;
create index hook_deliveries_noted on hook_deliveries (organization_id, source_id, position desc)
  where verdict not in ('accepted', 'other_ref');

-- The branch that it is to be merged into, as the last hook says: it may have been another one when the source followed another.
alter table merge_requests add column target text;

-- A merge request is planned again when its target moves, so that open ones are found by source.
create index merge_requests_open on merge_requests (organization_id, source_id) where state = 'open';
