-- Up Migration

-- Files outside the device folders that some folder of a source depends on, or once did: a look at them costs as much as there are, not as many as folders.
create table source_dependencies (
  organization_id uuid not null,
  source_id uuid not null,
  path text not null,
  primary key (organization_id, source_id, path),
  foreign key (organization_id, source_id) references sources on delete cascade
);
insert into source_dependencies (organization_id, source_id, path)
select distinct organization_id, source_id, unnest(dependencies) from source_paths where verdict <> 'missing';
