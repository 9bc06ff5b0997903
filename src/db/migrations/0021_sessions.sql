-- Up Migration

-- Sign-ins to the dashboard with a browser, by the holder of an API token or by a user of the identity provider. The key in the cookie is stored as its
-- SHA-256. A session is over at expires_at, after a time without use, with its token, and while its organization is disabled.
create table sessions (
  id uuid primary key,
  organization_id uuid not null references organizations,
  hash bytea not null unique,
  token_id uuid,
  -- The issuer and the subject of the identity provider. Name and email are as at the sign-in.
  subject text,
  name text,
  email text,
  role text not null check (role in ('viewer', 'operator', 'admin')),
  created_at timestamptz not null default now(),
  last_used_at timestamptz not null default now(),
  expires_at timestamptz not null,
  foreign key (organization_id, token_id) references tokens (organization_id, id),
  check ((token_id is null) <> (subject is null)),
  check ((subject is null) = (name is null))
);
create index sessions_of_token on sessions (token_id) where token_id is not null;
create index sessions_of_subject on sessions (organization_id, subject) where subject is not null;

-- A link that signs in once. Its code is stored as SHA-256, and its row is removed when it is used.
create table session_links (
  hash bytea primary key,
  organization_id uuid not null references organizations,
  token_id uuid,
  subject text,
  name text,
  email text,
  role text not null check (role in ('viewer', 'operator', 'admin')),
  expires_at timestamptz not null,
  -- The session that made the link: one that the link makes does not outlive it. Null: a token made it.
  session_expires_at timestamptz,
  foreign key (organization_id, token_id) references tokens (organization_id, id),
  check ((token_id is null) <> (subject is null)),
  check ((subject is null) = (name is null))
);
create index session_links_expires_at on session_links (expires_at);
