/**
 * Every error code, on one page. Codes are published: none ever changes its meaning, its status or its name. `npm test -- test/errors.test.ts -u`
 * writes `docs/errors.md` from this page.
 */
export type Retry =
  /** The same input fails again: a person must change something. */
  | 'never'
  /** The other side may recover: retry, each time after a longer pause. */
  | 'backoff'
  /** Something will probably appear soon: retry after a short pause. */
  | 'soon';

export type ErrorKind = {
  /** HTTP status of the answer; 500 for errors that no route answers. */
  status: number;
  retry: Retry;
  meaning: string;
  /** Other statuses that single places use, each for its own reason. */
  also?: readonly number[];
  /**
   * `host`: a fault of the whole git host, which counts against its circuit. `missing`: the host is healthy, but the repository has no such commit.
   * `request`: the caller's own mistake, also where the service called a git host for the caller.
   */
  about?: 'host' | 'missing' | 'request';
};

const never = <const S extends number>(status: S, meaning: string) => ({ status, retry: 'never', meaning }) as const;
const backoff = <const S extends number>(status: S, meaning: string) => ({ status, retry: 'backoff', meaning }) as const;
const soon = <const S extends number>(status: S, meaning: string) => ({ status, retry: 'soon', meaning }) as const;

/** Any request to the service. */
const REQUEST_ERRORS = {
  cross_origin: never(403, 'The request has a session, but the browser does not say that it comes from a page of the service itself.'),
  csrf_token_invalid: never(403, 'The request has a session and changes something, but X-CSRF-Token is missing or wrong.'),
  forbidden: never(403, "The token's role, or a setting of the service, does not allow the request."),
  headers_too_large: never(431, 'The headers of the request are too large.'),
  idempotency_in_progress: soon(409, 'The first request with this Idempotency-Key is still running.'),
  idempotency_key_reused: never(422, 'The Idempotency-Key was used for another request.'),
  internal: backoff(500, 'The service failed for a reason of its own; its log has the details under the request id.'),
  invalid_request: never(400, 'The request breaks a rule of its schema; `errors` names each field.'),
  link_expired: never(401, 'The one-time link was used before, or is older than ten minutes.'),
  malformed_csv: never(400, 'The CSV of an import cannot be read; the message names the row.'),
  malformed_json: never(400, 'The body is not JSON.'),
  malformed_request: never(400, 'The request is not valid HTTP/1.1.'),
  malformed_text: never(400, 'The body is not UTF-8.'),
  not_found: never(404, 'No such resource or path exists in this organization.'),
  oidc_no_role: never(403, 'The identity provider knows the person, but no value of the role claim stands for a role.'),
  oidc_refused: never(401, 'The identity provider refused the sign-in, or sent an answer that does not fit.'),
  oidc_state_invalid: never(401, 'The browser began no such sign-in, or it took too long.'),
  oidc_unavailable: backoff(503, 'The identity provider does not answer, or not as the standard says.'),
  rate_limited: backoff(429, 'Too many requests came from one sender or token; `Retry-After` names the pause.'),
  request_aborted: never(400, 'The connection broke before the request was complete.'),
  request_timeout: backoff(408, 'The request came too slowly.'),
  too_deep: never(400, 'The JSON is nested too deeply.'),
  too_large: never(413, 'The body is too large.'),
  unauthorized: never(401, 'The token, key or session is missing, wrong, expired or revoked.'),
  unavailable: backoff(503, 'The service cannot answer now, mostly because its database is away.'),
  unsupported_format: never(415, 'An import takes JSON and CSV only.'),
  unsupported_media_type: never(415, 'The Content-Type must be application/json.'),
  version_mismatch: never(412, 'If-Match names another version than the present one.'),
} as const satisfies Record<string, ErrorKind>;

/** Requests that are valid but do not fit the present state. */
const STATE_ERRORS = {
  backup_not_restorable: never(409, 'The backup cannot be restored.'),
  command_closed: never(409, 'The command has ended already.'),
  bulk_changed: never(409, 'The number of devices that a bulk action changes is no longer the confirmed one.'),
  conflict_changed: never(409, 'A sync has found other values since the person saw the conflict: read it again and decide.'),
  conflict_not_open: never(409, 'The conflict of a sync is resolved already, or the sides agree by now.'),
  delivery_not_taken: never(409, 'The webhook delivery was refused, so it cannot be taken again.'),
  delivery_pending: never(409, 'The notification is still on its way.'),
  device_exists: never(409, 'A device of this id is registered already.'),
  event_gone: never(409, 'The event of the notification is older than events are kept.'),
  four_eyes: never(409, 'Another person than the author must approve.'),
  import_refused: never(422, 'Rows of the import are refused, and mode=atomic takes all rows or none.'),
  last_admin: never(409, 'The organization would be left without an admin.'),
  name_taken: never(409, 'Another resource has this name.'),
  no_reenrolment: never(409, 'No enrolment of this device waits for a decision.'),
  no_revision: never(409, 'The source has no revision that could be rolled out.'),
  not_bound: never(409, 'The device follows no folder of a source.'),
  nothing_to_approve: never(409, 'No wave of the rollout waits for an approval.'),
  nothing_to_retry: never(409, 'No deployment failed that could be retried.'),
  nothing_to_roll_back_to: never(409, 'No earlier bundle is known to roll back to.'),
  notification_disabled: never(409, 'The notification is disabled.'),
  preview_busy: { ...backoff(429, 'Too many previews of the source wait already.'), about: 'request' },
  public_url_missing: never(422, 'The git host cannot reach the address of the webhook; PUBLIC_URL must be set.'),
  reenrolment_required: backoff(409, 'A device of this id is registered; an operator must let the new one in.'),
  site_in_use: never(409, 'The site has devices, enrolment tokens or notifications.'),
  source_changed: never(409, 'The source was changed while the request ran.'),
  source_held: never(409, 'The source is held.'),
  source_not_synced: { ...never(409, 'The source has no prepared commit yet.'), about: 'request' },
  too_many: never(409, 'The organization has as many of these as it may have.'),
  too_many_rows: never(413, 'The import has too many rows.'),
  webhook_of_another_provider: never(409, "The source's webhook is of another kind of git host."),
  wrong_state: never(409, "The rollout's state does not allow this."),
} as const satisfies Record<string, ErrorKind>;

/** Webhooks that git hosts send. */
const HOOK_ERRORS = {
  hook_expired: never(401, 'The signature of the webhook is too old.'),
  hook_malformed: never(400, 'The body of the webhook cannot be read.'),
  hook_secret_invalid: never(400, 'The webhook secret is too short, or not of the form that the git host uses.'),
  hook_too_large: never(413, 'The webhook has more than 25 MiB, or that of a device platform more than 1 MiB.'),
  hook_unauthorized: never(401, 'The signature or token of the webhook is wrong or missing.'),
} as const satisfies Record<string, ErrorKind>;

/** Fetches and pushes of Git repositories. */
const GIT_ERRORS = {
  address_refused: never(422, 'The host has an address that the service may not call.'),
  branch_exists: never(409, 'The branch exists with another content or parent.'),
  commit_missing: { ...soon(422, 'The host does not have the commit, or does not serve it yet.'), about: 'missing' },
  git_auth: never(422, "The host refuses the source's credentials."),
  git_host_unavailable: backoff(503, 'The last requests to the host failed; the next ones wait for up to 2 minutes.'),
  git_not_found: never(422, 'The host has no such repository, or hides it from these credentials.'),
  git_object_invalid: never(422, 'An object of the repository is damaged or malformed at the host.'),
  // 422: a push to a host that lacks the parent commit.
  git_object_missing: { ...backoff(502, 'An object that the host should have sent, or should have, is missing.'), also: [422] },
  git_protocol: backoff(502, "The host's answer is not Git's protocol."),
  git_push_denied: never(422, 'The credentials may not push.'),
  git_push_refused: never(422, 'A hook, a protected branch or a rule of the host refused the push.'),
  git_rate_limited: backoff(503, 'The host takes no more requests for a while.'),
  git_redirect: never(422, 'The host redirects to an address that the service does not follow.'),
  git_server_error: { ...backoff(502, 'The host failed.'), about: 'host' },
  git_timeout: { ...backoff(504, 'The host did not answer in time.'), about: 'host' },
  git_tls: backoff(502, "The host's certificate is not trusted, or it speaks no TLS."),
  git_too_large: never(422, 'The repository, or an object in it, is larger than the limits allow.'),
  git_transfer_damaged: backoff(502, 'What the host sent was damaged or cut off on the way.'),
  git_unreachable: { ...backoff(502, 'No connection to the host came about.'), about: 'host' },
  git_unsupported: never(422, 'The host or the repository needs something that the service does not support.'),
  // 422: the ref stands for something that is no commit.
  invalid_ref: { ...never(400, 'The ref is malformed, or stands for no commit.'), also: [422], about: 'request' },
  invalid_url: never(400, "The repository's URL is not valid."),
  mirror_damaged: soon(502, "The service's copy of the repository was damaged and is removed; the next fetch starts anew."),
  mirror_no_space: backoff(507, 'The disk with the copies of the repositories is full.'),
  ref_missing: { ...soon(422, 'The repository has no such ref.'), about: 'missing' },
  repository_empty: { ...soon(422, 'The repository has no commits.'), about: 'missing' },
} as const satisfies Record<string, ErrorKind>;

/** The API of a git host: commit statuses, comments, webhooks. */
const FORGE_ERRORS = {
  forge_cancelled: backoff(503, 'The call was given up.'),
  forge_conflict: soon(503, 'Somebody else changes the same thing at this moment.'),
  forge_forbidden: never(422, 'The token lacks a permission.'),
  forge_not_found: never(422, 'The host has no such resource, or hides it from this token.'),
  forge_protocol: never(502, "The answer is not that of the git host's API."),
  forge_rate_limited: backoff(503, 'The host takes no more requests for a while.'),
  forge_redirect: never(422, 'The host redirects; the URL of its API must be set.'),
  forge_rejected: never(422, 'The host does not take what was sent.'),
  forge_server_error: { ...backoff(502, 'The host failed.'), about: 'host' },
  forge_timeout: { ...backoff(504, 'The host did not answer in time.'), about: 'host' },
  forge_token_missing: never(422, 'The source has no token for the API.'),
  forge_too_large: never(502, 'The answer is too large.'),
  forge_unauthorized: never(422, 'The token is not valid.'),
  forge_unreachable: { ...backoff(502, 'No connection to the host came about.'), about: 'host' },
  forge_unsupported: never(422, 'No API is known that could be called for this source.'),
} as const satisfies Record<string, ErrorKind>;

/** Device platforms that integrations call. */
const INTEGRATION_ERRORS = {
  assignment_exists: never(409, 'The device, or the one at the platform, is assigned to the integration already.'),
  integration_blocked: never(409, 'Nothing is asked of the platform until the integration gets new credentials.'),
  integration_busy: never(409, 'A sync of the integration runs already.'),
  integration_conflict: soon(409, 'Somebody else changes the same thing at the platform.'),
  integration_disabled: never(409, 'The integration, or syncing as a whole, is switched off.'),
  integration_forbidden: never(422, 'The credentials lack a permission at the platform.'),
  integration_not_found: never(422, 'The platform has no such thing, or hides it from these credentials.'),
  integration_primary: never(409, 'The primary integration is the only one, and is removed by force alone.'),
  integration_protocol: never(502, "The answer is not that of the platform's API."),
  integration_rate_limited: backoff(503, 'The platform takes no more requests for a while.'),
  integration_redirect: never(422, 'The platform redirects to an address that the service does not follow.'),
  integration_rejected: never(422, 'The platform does not take what was sent.'),
  integration_server_error: { ...backoff(502, 'The platform failed.'), about: 'host' },
  integration_timeout: { ...backoff(504, 'The platform did not answer in time.'), about: 'host' },
  integration_too_large: never(502, 'The answer of the platform is too large.'),
  integration_unassigned: never(409, 'The device is assigned to no integration of the kind that its adapter needs.'),
  integration_unauthorized: never(422, 'The platform does not accept the credentials.'),
  integration_unavailable: backoff(503, "The platform's last answers failed; the next request waits."),
  integration_unreachable: { ...backoff(502, 'No connection to the platform came about.'), about: 'host' },
  integration_unsupported: never(422, 'The platform cannot do this.'),
} as const satisfies Record<string, ErrorKind>;

/** The service's own work: commits, bundles, workspaces, secrets, its database. */
const SERVICE_ERRORS = {
  // 500: the bundle is known, but one of its files is lost.
  bundle_missing: { ...never(404, 'The bundle, or a file of it, does not exist.'), also: [500] },
  data_dir_in_use: never(500, 'Another process uses the data directory.'),
  embedded_postgres: never(500, 'The embedded PostgreSQL does not start.'),
  internal_error: backoff(500, 'A job of the service failed for a reason of its own and is tried again.'),
  prepare_failed: backoff(500, 'The thread that prepared the commit ended.'),
  prepare_timeout: backoff(500, 'The commit took too long to prepare.'),
  revision_too_large: never(422, 'The files of the commit are larger in all than the limit allows.'),
  rotation_in_progress: never(409, 'Another rotation of the secret key runs.'),
  secret_key_invalid: never(500, 'The secret key is missing, malformed or not safe to use.'),
  secret_unreadable: never(500, 'A stored secret cannot be opened with the keys that are known.'),
  workspace_content_mismatch: backoff(500, 'A written file does not have the content that the bundle names.'),
  workspace_io: backoff(500, 'The disk with the workspaces failed.'),
  workspace_no_space: backoff(507, 'The disk with the workspaces is full.'),
  workspace_path_refused: never(500, 'A path would leave its workspace.'),
  workspace_unsafe: never(500, 'A workspace is a link, or no directory of this service.'),
} as const satisfies Record<string, ErrorKind>;

/** The agent and simulated devices. They are logged, or reported as the code of a failed deployment. */
const AGENT_ERRORS = {
  answer_too_large: backoff(500, 'The answer of the service is larger than expected.'),
  confirm_refused: backoff(500, 'The service refused the report that asks for the confirmation.'),
  confirm_timeout: never(500, 'The device could not reach the service to confirm the new bundle in time.'),
  desired_expired: backoff(500, 'The desired state has expired.'),
  desired_foreign: backoff(500, 'The desired state is for another device.'),
  desired_forged: backoff(500, 'The signature of the desired state is not by a pinned key.'),
  desired_invalid: backoff(500, 'The desired state cannot be read.'),
  desired_refused: backoff(500, 'A simulated device does not accept the desired state.'),
  desired_replayed: backoff(500, 'The desired state is older than one that was accepted.'),
  download_failed: backoff(500, 'The bundle could not be downloaded.'),
  foreign_url: never(500, 'The service named an address that is not its own.'),
  health_check_failed: never(500, "The bundle's health check failed after the swap."),
  hook_failed: never(500, "One of the bundle's hooks failed."),
  identity_invalid: never(500, "The file with the device's identity cannot be read."),
  identity_mismatch: never(500, 'The identity is of another device or server than the configuration names.'),
  invalid_answer: backoff(500, 'The answer of the service cannot be read.'),
  invalid_config: never(500, "The agent's configuration is not valid."),
  no_space: backoff(500, 'The disk of the device is full.'),
  not_enrolled: never(500, 'The agent has no identity and no way to enrol.'),
  root_in_use: never(500, "Another agent uses the agent's folder."),
  server_refused: never(500, 'The service refused the request; the status is the one that it answered.'),
  unreachable: backoff(503, 'The service could not be reached.'),
} as const satisfies Record<string, ErrorKind>;

/** The command line. It shows the code in front of the message. */
const COMMAND_ERRORS = {
  demo_broken: never(500, 'A part of the demonstration ended too early.'),
  demo_fixtures: never(500, 'The files of the demonstration are not as expected.'),
  demo_incomplete: never(500, 'The demonstration did not reach its end.'),
  demo_service: never(500, 'The service of the demonstration does not start.'),
  git_missing: never(500, 'The command `git` is missing or fails.'),
  hook_refused: never(500, 'The service refused the webhook of the demonstration.'),
  interrupted: never(500, 'A signal ended the command.'),
  invalid_behaviour: never(500, 'The flags of simulated devices contradict each other.'),
  invalid_devices: never(400, 'The file with the known devices cannot be read.'),
  invalid_keys: never(500, 'The file with the keys of simulated devices cannot be read.'),
  invalid_policy: never(500, 'The file with the rollout policy cannot be read.'),
  not_converged: never(500, 'Some devices do not run what they should.'),
  not_set_up: never(500, 'The data directory holds no service yet.'),
  notification_test_failed: never(500, 'The test delivery of a notification failed.'),
  plan_refused: never(500, 'The plan has errors.'),
  source_test_failed: never(500, 'The connection test of a source failed.'),
  sync_failed: never(500, 'The sync that the command waited for failed.'),
  timeout: never(500, 'The service did not answer in time.'),
  unexpected_answer: never(500, 'The answer is not that of a Bellwether service.'),
  usage: never(500, 'The command line is not valid; the exit code is 2.'),
  webhook_not_verified: never(500, 'The webhook is installed, but no delivery proved that it works.'),
} as const satisfies Record<string, ErrorKind>;

/** Answers and messages of live connections. They are `code` and `detail` of a message, not Problems. */
const LIVE_ERRORS = {
  busy: backoff(500, 'Too many requests of the connection wait for their answers.'),
  cursor_too_old: never(500, 'The missed events are not kept any more; load the present state, then subscribe without `after`.'),
  shutting_down: soon(500, 'The service stops; connect again.'),
  too_many_topics: never(500, 'The connection would hold more topics than it may.'),
} as const satisfies Record<string, ErrorKind>;

export const ERROR_GROUPS = {
  request: REQUEST_ERRORS,
  state: STATE_ERRORS,
  hook: HOOK_ERRORS,
  git: GIT_ERRORS,
  forge: FORGE_ERRORS,
  integration: INTEGRATION_ERRORS,
  service: SERVICE_ERRORS,
  agent: AGENT_ERRORS,
  command: COMMAND_ERRORS,
  live: LIVE_ERRORS,
};

export const ERRORS = {
  ...REQUEST_ERRORS,
  ...STATE_ERRORS,
  ...HOOK_ERRORS,
  ...GIT_ERRORS,
  ...FORGE_ERRORS,
  ...INTEGRATION_ERRORS,
  ...SERVICE_ERRORS,
  ...AGENT_ERRORS,
  ...COMMAND_ERRORS,
  ...LIVE_ERRORS,
};

export type ErrorCode = keyof typeof ERRORS;
export type GitErrorCode = keyof typeof GIT_ERRORS;
export type ForgeErrorCode = keyof typeof FORGE_ERRORS;
export type IntegrationErrorCode = keyof typeof INTEGRATION_ERRORS;
/** Codes of requests that do not fit the present state. */
export type ConflictCode = { [Code in ErrorCode]: (typeof ERRORS)[Code]['status'] extends 409 ? Code : never }[ErrorCode];

const BY_CODE: ReadonlyMap<string, ErrorKind> = new Map(Object.entries(ERRORS));

/** @returns undefined for the code of a library, of the system, or of another version of Bellwether */
export function errorKind(code: string): ErrorKind | undefined {
  return BY_CODE.get(code);
}

type FailureKind = { retry: Retry; meaning: string };

/**
 * Codes of failed deployments, which devices and the controller report. `never` quarantines the bundle on the device until the bundle changes
 * or an operator retries. Any code that is not listed does the same.
 */
export const DEPLOYMENT_ERRORS = {
  apply_failed: { retry: 'never', meaning: 'The device could not apply the bundle.' },
  confirm_timeout: { retry: 'backoff', meaning: 'The device could not reach the service to confirm the bundle in time.' },
  delivery_failed: { retry: 'backoff', meaning: "The device's share, network or workspace failed." },
  download_failed: { retry: 'backoff', meaning: 'The device could not download the bundle.' },
  failed: { retry: 'never', meaning: 'The device named no code.' },
  health_check_failed: { retry: 'never', meaning: "The bundle's health check failed after the swap." },
  hook_failed: { retry: 'never', meaning: "One of the bundle's hooks failed." },
  interrupted: { retry: 'backoff', meaning: 'The agent went down twice while it applied the bundle.' },
  no_space: { retry: 'backoff', meaning: 'The disk of the device is full.' },
  quarantined: { retry: 'never', meaning: 'The bundle failed on this device before.' },
  refused: { retry: 'never', meaning: 'The adapter refused the bundle.' },
  root_unusable: { retry: 'backoff', meaning: 'The agent cannot write to its folder.' },
  timed_out: { retry: 'backoff', meaning: 'The device sent no report in time.' },
} as const satisfies Record<string, FailureKind>;

const FAILURE_BY_CODE: ReadonlyMap<string, FailureKind> = new Map(Object.entries(DEPLOYMENT_ERRORS));

/** Devices may report any code. */
export function retryOfDeployment(code: string): Retry {
  return FAILURE_BY_CODE.get(code)?.retry ?? 'never';
}

/** Codes of errors in a commit's configuration. Only a new commit repairs them. */
export const CONFIG_ERRORS = {
  device: 'A folder belongs to several devices whose facts give different content.',
  fleet: '`fleet.yaml` is missing, or breaks a rule.',
  lfs_pointer: 'The file is a pointer of Git LFS, not its content.',
  manifest: 'The manifest breaks a rule.',
  merge: 'A value cannot be merged over that of an earlier layer.',
  more_errors: 'There are more errors than are kept.',
  path: 'A path or a kind of file is not allowed, or two files have one path.',
  platform_document: 'The file from which a platform configures the device breaks a rule of that platform.',
  rollout: "The rollout's waves name a device that the source does not know.",
  schema: 'A value breaks a rule of its JSON Schema.',
  schema_invalid: 'The JSON Schema itself is not valid.',
  schema_missing: 'A JSON Schema that is named does not exist.',
  schema_remote_ref: 'A JSON Schema refers to an address outside the repository.',
  stand_in: 'The file stands in for another: a link of Git, or a pointer of another tool.',
  syntax: 'The file is not well-formed JSON or YAML.',
  template: 'A template cannot be parsed or rendered.',
  too_deep: 'The document is nested too deeply.',
  too_large: 'A file, folder or document is larger than the limits allow.',
  validation_timeout: 'The folder takes too long to parse, render and validate.',
  variables: 'The variables break a rule.',
} as const;

export type ConfigErrorCode = keyof typeof CONFIG_ERRORS;
