-- Up Migration

-- Jobs that end with an error nobody expected. One that succeeds again has no row. `device_ids`: the only devices that the error is about.
create table job_failures (
  queue text not null,
  key text not null,
  failures integer not null default 1,
  error text not null,
  device_ids text[],
  since timestamptz not null default now(),
  retry_at timestamptz not null,
  primary key (queue, key)
);
create index job_failures_by_retry on job_failures (retry_at);

-- `moved_to`: where the host redirects the URL, and the repository is read. `quiet_until`: before this the host takes no more requests.
alter table sources add column moved_to text, add column quiet_until timestamptz;
