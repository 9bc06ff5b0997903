import { connect } from '../../src/db/connect.ts';
import { newId } from '../../src/ids.ts';
import { ensureOrganization, insertToken } from '../../src/organization/store.ts';
import { hashToken, last4, mintToken } from '../../src/tokens.ts';
import { type Client, clientOf, converge, postHook, rowsOf, until } from '../support/actors.ts';
import { openGitHost } from '../support/git-host.ts';
import { SIGNING_TOKEN } from '../support/hooks.ts';

export const ADMIN_TOKEN = 'fuzz-admin-token-of-32-characters';

/** Two devices of one repository, two of a fleet's folders. */
export const DEVICES = ['golden-0', 'golden-1', 'golden-2', 'golden-3'];

export type TokenKind = 'admin' | 'operator' | 'viewer' | 'stranger' | 'revoked' | 'enrolment' | 'garbage';

/** Objects that no request may remove: there is always something of every kind to ask for. */
export type Golden = {
  admin: Client;
  /** Ids by the path of their list, and the URLs of the repositories. */
  ids: Readonly<Record<string, readonly string[]>>;
  tokens: Readonly<Record<TokenKind, string>>;
  /** Of each device, as its headers. */
  keys: readonly Record<string, string>[];
  /** The newest one. */
  commit(): string;
  /** Mends what requests did to them, makes spare ones that may go, removes what has become too much. */
  restore(): Promise<void>;
  close(): Promise<void>;
};

/** More than these in a list, and the surplus is removed. */
const MOST = { '/api/v1/sources': 12, '/api/v1/devices': 100, '/api/v1/tokens': 40 } as const;
/** Of what may be deleted, in each round. */
const SPARES = 3;

export async function openGolden(url: string, databaseUrl: string): Promise<Golden> {
  const admin = clientOf(url, ADMIN_TOKEN);
  const repositories = await openRepositories();
  await repositories.push();
  const { tokens, ids: tokenIds } = await mintTokens(admin, databaseUrl);
  const sources: string[] = [];
  for (const at of [0, 1])
    sources.push(String((await admin('POST', '/api/v1/sources', sourceSettings(repositories.urls[at] ?? '', at, `golden ${at}`))).id));
  const keys: Record<string, string>[] = [];
  for (const [at, id] of DEVICES.entries()) {
    const { apiKey } = await admin('POST', '/api/v1/devices', { id, sourceId: sources[at >> 1], labels: { floor: '2' } });
    keys.push({ 'x-device-id': id, 'x-api-key': String(apiKey) });
  }
  await admin('POST', '/api/v1/sites', { name: 'golden' });
  const golden: Golden = {
    admin,
    ids: { '/api/v1/sources': sources, '/api/v1/devices': DEVICES, '/api/v1/tokens': tokenIds, repository: repositories.urls },
    tokens,
    keys,
    commit: repositories.commit,
    restore: async () => {
      const commit = await repositories.push();
      await removeSurplus(golden);
      await mend(golden);
      for (const id of sources) await postHook(`${url}/hooks/${id}`, { ref: 'refs/heads/main', after: commit });
      for (const key of keys) await converge(url, key);
    },
    close: repositories.close,
  };
  await makeHistory(golden, url);
  return golden;
}

/** Two commits that a device has confirmed, so that there is something to go back to. */
async function makeHistory({ admin, restore, keys }: Golden, url: string): Promise<void> {
  const [key = {}] = keys;
  for (let confirmed = 0; confirmed < 2; confirmed += 1) {
    if (confirmed > 0) await restore();
    await until('a device is at rest', async () => {
      await converge(url, key);
      const { items } = await admin('GET', `/api/v1/devices/${DEVICES[0]}/deployments`);
      return rowsOf(items).filter(({ state }) => state === 'succeeded').length > confirmed;
    });
  }
}

async function openRepositories() {
  const host = await openGitHost();
  const urls = [await host.createRepository('single'), await host.createRepository('fleet')];
  let [commit, commits] = ['', 0];
  return {
    urls,
    commit: () => commit,
    push: async (): Promise<string> => {
      commits += 1;
      await host.commit('fleet', {
        'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\n',
        'devices/golden-2/app.json': JSON.stringify({ commits }),
        'devices/golden-3/app.json': commits % 3 === 0 ? '{' : '{}',
      });
      commit = await host.commit('single', { 'app.json': JSON.stringify({ commits }) });
      return commit;
    },
    close: host.close,
  };
}

function sourceSettings(url: string, at: number, name: string): Record<string, unknown> {
  const webhook = { provider: 'generic', secret: SIGNING_TOKEN };
  return { name, url, ref: 'main', layout: at === 0 ? 'repo' : 'fleet', webhook, pollIntervalSeconds: 5 };
}

async function mend({ admin, ids }: Golden): Promise<void> {
  const [sources = [], urls = []] = [ids['/api/v1/sources'], ids.repository];
  for (const [at, id] of sources.entries())
    await admin('PATCH', `/api/v1/sources/${id}`, sourceSettings(urls[at] ?? '', at, `golden ${at}`));
  for (const [at, id] of DEVICES.entries()) {
    const path = at < 2 ? '' : `devices/${id}`;
    await admin('PATCH', `/api/v1/devices/${id}`, { sourceId: sources[at >> 1], path, adapter: 'agent' });
    await admin('DELETE', `/api/v1/devices/${id}/hold`);
    await admin('POST', `/api/v1/devices/${id}/start`);
    await admin('POST', `/api/v1/devices/${id}/commands`, { type: 'ping', ttlSeconds: 3600 });
  }
  for (let spare = 0; spare < SPARES; spare += 1) {
    await admin('POST', '/api/v1/devices', { id: `spare-${newId()}` });
    await admin('POST', '/api/v1/tokens', { name: 'spare', role: 'viewer' });
    await admin('POST', '/api/v1/sources', sourceSettings(urls[0] ?? '', 0, `spare ${newId()}`));
  }
}

async function removeSurplus({ admin, ids }: Golden): Promise<void> {
  for (const [path, most] of Object.entries(MOST)) {
    const { items } = await admin('GET', `${path}?limit=500`);
    const spare = rowsOf(items).filter(({ id }) => !ids[path]?.includes(String(id)));
    for (const { id } of spare.slice(0, Math.max(0, spare.length - most))) await admin('DELETE', `${path}/${id}`);
  }
}

async function mintTokens(admin: Client, databaseUrl: string): Promise<{ tokens: Golden['tokens']; ids: string[] }> {
  const mint = async (role: string) => admin('POST', '/api/v1/tokens', { name: `fuzz ${role}`, role });
  const [operator, viewer, revoked] = [await mint('operator'), await mint('viewer'), await mint('viewer')];
  await admin('DELETE', `/api/v1/tokens/${revoked.id}`);
  const enrolment = await admin('POST', '/api/v1/enrolment-tokens', { uses: 100_000 });
  const stranger = mintToken('token');
  const sql = connect(databaseUrl, { max: 1 });
  const organization = await ensureOrganization(sql, newId(), 'strangers');
  await insertToken(sql, organization, { id: newId(), name: 'stranger', role: 'admin', hash: hashToken(stranger), last4: last4(stranger) });
  const [own] = await sql<{ id: string }[]>`select id from tokens where hash = ${hashToken(ADMIN_TOKEN)}`;
  await sql.end({ timeout: 1 });
  const tokens = {
    admin: ADMIN_TOKEN,
    operator: String(operator.token),
    viewer: String(viewer.token),
    revoked: String(revoked.token),
    enrolment: String(enrolment.token),
    stranger,
    garbage: 'bwt_garbage',
  };
  return { tokens, ids: [own?.id ?? '', String(operator.id), String(viewer.id)] };
}
