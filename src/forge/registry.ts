import type { Config } from '../config.ts';
import type { SecretBox } from '../crypto/secret-box.ts';
import type { GitHosts } from '../git/hosts.ts';
import type { AddressGuard } from '../git/http/address-guard.ts';
import { openApiToken, openCredentials } from '../source/credentials.ts';
import type { ForgeKind } from '../source/forge-settings.ts';
import type { Credentials, Source } from '../source/source.ts';
import { postComment } from './comment.ts';
import type { Forge } from './forge.ts';
import { ensureWebhook } from './hook.ts';
import type { ForgeHost, HostOperations, Purpose } from './host.ts';
import { type ForgeConnection, forgeApi } from './http.ts';
import { gitea } from './kinds/gitea.ts';
import { github } from './kinds/github.ts';
import { gitlab } from './kinds/gitlab.ts';
import { placeOf } from './place.ts';
import { forgeProblem } from './problems.ts';
import { DEFAULT_LIMITS, type ForgeLimits, withinDeadline } from './retry.ts';

const HOSTS: Readonly<Record<ForgeKind, ForgeHost>> = { gitlab, github, gitea, forgejo: gitea };

type ForgeSource = Pick<Source, 'organizationId' | 'id' | 'name' | 'url' | 'forge' | 'webhookProvider' | 'authSealed' | 'apiTokenSealed'>;
type ForgeDeps = { box: SecretBox; config: Config; guard: AddressGuard; forgeHosts: GitHosts };

/**
 * Opens the API of the source's git host with the source's own token. Sends no request yet.
 * @throws Problem `forge_unsupported` or `forge_token_missing` if the source has no host with an API. This is no fault: nothing can be reported
 * there
 */
export function forgeFor(source: ForgeSource, services: ForgeDeps, limits: ForgeLimits = DEFAULT_LIMITS): Forge {
  const { host, apiUrl, repository } = placeOf(source, HOSTS, services.config);
  const credentials = credentialsOf(source, services);
  const connection: ForgeConnection = {
    apiUrl,
    headers: host.headers(credentials),
    secrets: ['token' in credentials ? credentials.token : credentials.password],
    pageSizeParameter: host.pageSizeParameter,
    guard: services.guard,
    hosts: services.forgeHosts,
    caller: source,
    attemptTimeoutMs: limits.attemptTimeoutMs,
  };
  const call = <T>({ purpose, what, caller, secrets = [] }: Call, work: (operations: HostOperations) => Promise<T>): Promise<T> => {
    const doing = `${what} of ${repository.path}`;
    const permission = host.permissions[purpose];
    const withSecrets = { ...connection, secrets: [...connection.secrets, ...secrets] };
    return withinDeadline(doing, limits, caller, (signal) =>
      work(host.open(forgeApi(withSecrets, { doing, permission, signal }), repository)),
    );
  };
  return {
    kind: repository.kind,
    installWebhook: (hook, caller) =>
      call({ purpose: 'webhook', what: 'install the webhook', caller, secrets: [hook.secret] }, (operations) =>
        ensureWebhook(operations, hook),
      ),
    testWebhook: (id, caller) =>
      call({ purpose: 'webhook', what: 'test the webhook', caller }, (operations) => operations.testHook(Number(id))),
    repositoryId: (caller) =>
      call({ purpose: 'webhook', what: 'read the id', caller }, async (operations) => String(await operations.repositoryId())),
    upsertComment: (mergeRequest, markdown, caller) =>
      call({ purpose: 'comment', what: `comment on merge request ${mergeRequest}`, caller }, (operations) =>
        postComment(operations, { sourceId: source.id, mergeRequest, markdown }),
      ),
    setCommitStatus: (commit, status, caller) =>
      call({ purpose: 'status', what: `set the status of commit ${commit}`, caller }, (operations) =>
        operations.setStatus(commit, `bellwether/${status.context ?? source.name}`, {
          ...status,
          description: oneLine(status.description),
        }),
      ),
    openMergeRequests: (targetBranch, caller) =>
      call({ purpose: 'merge_requests', what: `list the merge requests into ${targetBranch}`, caller }, (operations) =>
        operations.openMergeRequests(targetBranch),
      ),
  };
}

/** `secrets`: masked in errors, in addition to the token. */
type Call = { purpose: Purpose; what: string; caller: AbortSignal | undefined; secrets?: readonly string[] };

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

function credentialsOf(source: ForgeSource, { box }: ForgeDeps): Credentials {
  const apiToken = openApiToken(box, source);
  const credentials = apiToken === undefined ? openCredentials(box, source) : { token: apiToken };
  if (credentials !== undefined) return credentials;
  throw forgeProblem(
    'forge_token_missing',
    `Cannot call the API of the git host of source "${source.name}": it has no token; set "apiToken" or "auth"`,
  );
}
