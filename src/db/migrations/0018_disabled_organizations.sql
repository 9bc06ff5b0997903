-- Up Migration

-- Credentials and webhooks of a disabled organization are refused. Its rows stay: the audit log is append-only.
alter table organizations add column disabled_at timestamptz;
