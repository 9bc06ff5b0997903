-- Up Migration

-- Every row of every table belongs to one organization; foreign keys carry it, so that no row can point across tenants.
create table organizations (
  id uuid primary key,
  name text not null unique check (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  created_at timestamptz not null default now()
);

-- Bearer tokens of people and programs; the token itself is never stored, only its SHA-256.
create table tokens (
  id uuid primary key,
  organization_id uuid not null references organizations,
  name text not null,
  role text not null check (role in ('viewer', 'operator', 'admin')),
  hash bytea not null unique,
  last4 text not null,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz,
  unique (organization_id, id)
);

-- Ed25519 keys that sign what devices are told to run; the private half is sealed with the service's secret key.
create table signing_keys (
  organization_id uuid not null references organizations,
  kid text not null,
  public_jwk jsonb not null,
  private_sealed text not null,
  created_at timestamptz not null default now(),
  primary key (organization_id, kid)
);

-- Answers to mutations that carried an Idempotency-Key, kept for a day; sealed, because some show a key once.
create table idempotency_keys (
  organization_id uuid not null references organizations,
  actor text not null,
  key text not null,
  request_hash text not null,
  status integer,
  answer_sealed text,
  created_at timestamptz not null default now(),
  primary key (organization_id, actor, key)
);

-- Facts that happened. The cursor is drawn under a lock per organization that lasts until the commit, so that readers who saw
-- cursor N have seen every smaller one of that organization.
create table events (
  organization_id uuid not null references organizations,
  cursor bigint generated always as identity,
  type text not null,
  subject text not null,
  data jsonb not null,
  at timestamptz not null default now(),
  primary key (organization_id, cursor)
);
create index events_by_cursor on events (cursor);
create index events_by_subject on events (organization_id, subject, cursor);
create index events_by_age on events using brin (at);

-- Who did what: written in the transaction of the act, never changed, never removed by the service.
create table audit (
  organization_id uuid not null references organizations,
  id bigint generated always as identity,
  at timestamptz not null default now(),
  actor text not null,
  action text not null,
  subject text not null,
  outcome text not null check (outcome in ('ok', 'refused', 'failed')),
  commit_oid text,
  detail jsonb not null default '{}',
  primary key (organization_id, id)
);
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name;
end $$;
create trigger audit_is_append_only before update or delete or truncate on audit for each statement execute function refuse_change();

-- UUIDv7 (RFC 9562) for rows that are born in sets; PostgreSQL before 18 has none of its own.
create function uuid_v7() returns uuid language sql volatile as $$
  select encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid()) placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
      52, 1), 53, 1), 'hex')::uuid
$$;
