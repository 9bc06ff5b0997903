-- Up Migration

alter table sources
  -- kind and, where it is not what the URL says, address of the API of the source's git host
  add column forge jsonb,
  add column api_token_sealed text,
  add column api_token_hint text,
  -- id, at the host, of the webhook that was installed there with the present secret
  add column webhook_hook_id text;
