import { createHmac, randomUUID } from 'node:crypto';
import type { ForgeKind } from '../../src/source/forge-settings.ts';
import { SERVERS } from '../forge/support.ts';
import { openFleet } from '../support/fleet.ts';
import { openForgeServer, TOKEN } from '../support/forge-server.ts';
import { git } from '../support/git-host.ts';
import { eventually } from '../support/service.ts';

const SECRET = 'a-secret-of-the-hook';
const REPOSITORY = 'fleet/tills';

export type MergeRequestHook = { number?: number; action?: 'open' | 'push' | 'close'; head: string; target?: string };

/** The request that a kind of host sends for a merge request. */
function hookOf(
  kind: ForgeKind,
  { number = 1, action = 'open', head, target = 'main' }: MergeRequestHook,
): { headers: Record<string, string>; body: string } {
  if (kind === 'gitlab') {
    const oldrev = action === 'push' ? { oldrev: 'b'.repeat(40) } : {};
    const body = JSON.stringify({
      object_kind: 'merge_request',
      object_attributes: {
        iid: number,
        action: { open: 'open', push: 'update', close: 'merge' }[action],
        ...oldrev,
        target_branch: target,
        title: 'VLAN 7',
        url: `https://gitlab.example.com/fleet/tills/-/merge_requests/${number}`,
        last_commit: { id: head },
      },
    });
    return { headers: { 'x-gitlab-event': 'Merge Request Hook', 'idempotency-key': randomUUID(), 'x-gitlab-token': SECRET }, body };
  }
  const push = kind === 'github' ? 'synchronize' : 'synchronized';
  const body = JSON.stringify({
    action: { open: 'opened', push, close: 'closed' }[action],
    number,
    pull_request: { head: { sha: head }, base: { ref: target }, title: 'VLAN 7' },
  });
  const digest = createHmac('sha256', SECRET).update(body).digest('hex');
  if (kind === 'github')
    return {
      headers: { 'x-github-event': 'pull_request', 'x-github-delivery': randomUUID(), 'x-hub-signature-256': `sha256=${digest}` },
      body,
    };
  const own = { [`x-${kind}-event`]: 'pull_request', [`x-${kind}-delivery`]: randomUUID(), [`x-${kind}-signature`]: digest };
  return { headers: own, body };
}

type Request = {
  number: number;
  state: string;
  commit: string | null;
  base: string | null;
  verdict: string | null;
  posting: string;
  commentUrl: string | null;
  summary: Record<string, number> | null;
  failures: number;
  lastError: { code: string; detail: string } | null;
  nextTryAt: string | null;
  plannedAt: string | null;
  closedAt: string | null;
};

export type PlanScene = Awaited<ReturnType<typeof openPlanScene>>;

/** A service with a source whose repository has a host API, as at a real host. */
export async function openPlanScene(kind: ForgeKind, settings: Record<string, unknown> = {}) {
  const opened = new AsyncDisposableStack();
  const fleet = opened.use(await openFleet());
  const { host, api } = fleet;
  await host.createRepository(REPOSITORY, { user: 'oauth2', password: TOKEN });
  const forge = opened.use(await openForgeServer(SERVERS[kind], { gitUrl: host.url }));
  const webhook = { provider: kind, secret: SECRET };
  const plain = {
    name: REPOSITORY,
    url: forge.repositoryUrl,
    layout: 'repo',
    forge: { kind },
    auth: { token: TOKEN },
    webhook,
    pollIntervalSeconds: 5,
  };
  const answer = await api('POST', '/sources', { ...plain, ...settings });
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
  const source = answer.body as { id: string; name: string; hookUrl: string };
  return {
    fleet,
    host,
    api,
    forge,
    source,
    /** Creates a branch at the head of main. */
    branch: (name: string) => git(host.pathOf(REPOSITORY), ['update-ref', `refs/heads/${name}`, 'refs/heads/main']),
    /** Commits to a branch, as the new head of the merge request. */
    propose: async (files: Record<string, string | null>, { branch = 'topic', number = 1 } = {}): Promise<string> => {
      const commit = await host.commit(REPOSITORY, files, { branch });
      const folder = kind === 'gitlab' ? 'merge-requests' : 'pull';
      await git(host.pathOf(REPOSITORY), ['update-ref', `refs/${folder}/${number}/head`, commit]);
      return commit;
    },
    merge: (commit: string) => git(host.pathOf(REPOSITORY), ['update-ref', 'refs/heads/main', commit]),
    /** Posts the webhook as the host does. @returns the hook's answer */
    sendHook: async (change: MergeRequestHook) => {
      const { headers, body } = hookOf(kind, change);
      const response = await fetch(source.hookUrl, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
      return { status: response.status, ...((await response.json()) as { outcome?: string }) };
    },
    /** Waits until a merge request's record has the wanted state. @returns the record */
    request: (what: string, isWanted: (request: Request) => boolean, number = 1) =>
      eventually(what, async () => {
        const { items } = (await api('GET', `/sources/${source.id}/merge-requests`)).body;
        const found: Request | undefined = items.find((item: Request) => item.number === number);
        return found !== undefined && isWanted(found) ? found : undefined;
      }),
    /** The current statuses of a commit at the host, by context. */
    statuses: (commit: string): Record<string, { state: string; description: string }> =>
      Object.fromEntries(
        forge.state.statuses
          .filter((status) => status.commit === commit)
          .map(({ context, state, description }) => [context.slice('bellwether/'.length), { state, description }]),
      ),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

export const MANIFEST =
  'apiVersion: bellwether/v1\nkind: DeviceConfig\nvalidate:\n  - files: app.json\n    schema: schema.json\nfiles:\n  - from: app.json\n';
export const SCHEMA = JSON.stringify({
  type: 'object',
  properties: { vlan: { type: 'integer', maximum: 4094 }, code: { type: 'string', 'x-secret': true } },
});

/** A device's folder with a schema. */
export function folder(config: unknown, prefix = ''): Record<string, string> {
  return {
    [`${prefix}bellwether.yaml`]: MANIFEST,
    [`${prefix}schema.json`]: SCHEMA,
    [`${prefix}app.json`]: JSON.stringify(config, null, 2),
  };
}
