import { randomBytes } from 'node:crypto';
import { type Config, readConfig } from '../../src/config.ts';
import { openSecretBox } from '../../src/crypto/secret-box.ts';
import { forgeFor } from '../../src/forge/registry.ts';
import type { ForgeLimits } from '../../src/forge/retry.ts';
import { createGitHosts } from '../../src/git/hosts.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { closeConnections } from '../../src/git/http/connections.ts';
import { newId } from '../../src/ids.ts';
import { sealApiToken, sealCredentials } from '../../src/source/credentials.ts';
import type { ForgeKind, ForgeSettings } from '../../src/source/forge-settings.ts';
import type { Credentials } from '../../src/source/source.ts';
import { forgejoServer, giteaServer } from '../support/forge-gitea.ts';
import { githubServer } from '../support/forge-github.ts';
import { gitlabServer } from '../support/forge-gitlab.ts';
import { openForgeServer, TOKEN } from '../support/forge-server.ts';

export const SERVERS = { gitlab: gitlabServer, github: githubServer, gitea: giteaServer, forgejo: forgejoServer } as const;

/** Short limits, so that faults take little time. */
const LIMITS: ForgeLimits = { deadlineMs: 20_000, attemptTimeoutMs: 10_000, retryBaseMs: 5 };

export type ForgeCase = Awaited<ReturnType<typeof openForge>>;

type Given = {
  credentials?: Credentials;
  apiToken?: string;
  limits?: Partial<ForgeLimits>;
  allowPrivate?: boolean;
  forge?: ForgeSettings;
  url?: string;
};

/** A git host of one kind, and the API client for a source with a repository there. */
export async function openForge(kind: ForgeKind) {
  const server = await openForgeServer(SERVERS[kind]);
  const guards: ReturnType<typeof addressGuard>[] = [];
  const box = openSecretBox([{ id: 'test', key: randomBytes(32) }]);
  const config: Config = readConfig({});
  const forgeHosts = createGitHosts(8);
  const sourceId = newId();
  const connect = ({ credentials = { token: TOKEN }, apiToken, limits, allowPrivate = true, forge = { kind }, url }: Given = {}) => {
    const guard = addressGuard({ allowPrivate });
    guards.push(guard);
    const auth = sealCredentials(box, sourceId, credentials);
    const token = apiToken === undefined ? { apiTokenSealed: null } : sealApiToken(box, sourceId, apiToken);
    const source = {
      organizationId: 'org',
      id: sourceId,
      name: 'tills',
      url: url ?? server.repositoryUrl,
      forge,
      webhookProvider: null,
      ...auth,
      ...token,
    };
    return forgeFor(source, { box, config, guard, forgeHosts }, { ...LIMITS, ...limits });
  };
  return {
    kind,
    server,
    state: server.state,
    sourceId,
    marker: `<!-- bellwether:${sourceId} -->`,
    hookUrl: `http://bellwether.example/hooks/${sourceId}`,
    connect,
    forge: connect(),
    /** The last status of each context on the commit. */
    statusesOf: (commit: string) => [
      ...new Map(server.state.statuses.filter((one) => one.commit === commit).map((one) => [one.context, one])).values(),
    ],
    async [Symbol.asyncDispose]() {
      for (const guard of guards) await closeConnections(guard);
      await server.close();
    },
  };
}
