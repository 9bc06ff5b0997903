import { hashToken, last4, mintToken } from '../../src/crypto/tokens.ts';
import { connect } from '../../src/db/connect.ts';
import { newId } from '../../src/ids.ts';
import { ensureOrganization, insertToken } from '../../src/organization/store.ts';
import { type Client, clientOf, converge, postHook, rowsOf, until } from '../support/actors.ts';
import { openRemotes, type Remotes } from './remotes.ts';
import { makeSpares, removeSurplus } from './spares.ts';

export const ADMIN_TOKEN = 'fuzz-admin-token-of-32-characters';

/** Two devices of one repository, two of a fleet's folders. */
export const DEVICES = ['golden-0', 'golden-1', 'golden-2', 'golden-3'];

export type TokenKind = 'admin' | 'operator' | 'viewer' | 'stranger' | 'revoked' | 'enrolment' | 'garbage';

/** Objects that no request may remove, so that requests always find one of every kind. */
export type Golden = {
  admin: Client;
  /** Ids by the path of their list, and valid URLs. */
  ids: Readonly<Record<string, readonly string[]>>;
  tokens: Readonly<Record<TokenKind, string>>;
  /** Credentials of each device, as headers. */
  keys: readonly Record<string, string>[];
  /** The newest commit. */
  commit(): string;
  /** Repairs the golden objects after requests, creates spare ones that requests may delete, and removes a surplus. */
  restore(): Promise<void>;
  close(): Promise<void>;
};

export async function openGolden(url: string, databaseUrl: string): Promise<Golden> {
  const admin = clientOf(url, ADMIN_TOKEN);
  const remotes = await openRemotes();
  await remotes.push();
  const { tokens, ids: tokenIds, enrolmentId } = await mintTokens(admin, databaseUrl);
  const sources: string[] = [];
  for (const [at, settings] of remotes.sources.entries())
    sources.push(String((await admin('POST', '/api/v1/sources', settings(`golden ${at}`))).id));
  const keys: Record<string, string>[] = [];
  for (const [at, id] of DEVICES.entries()) {
    const { apiKey } = await admin('POST', '/api/v1/devices', { id, sourceId: sources[at >> 1], labels: { floor: '2' } });
    keys.push({ 'x-device-id': id, 'x-api-key': String(apiKey) });
  }
  const site = await admin('POST', '/api/v1/sites', { name: 'golden' });
  const { type, settings, credentials, devices } = remotes.platform;
  const integration = await admin('POST', '/api/v1/integrations', { type, settings, credentials, autoSync: false });
  for (const [at, deviceId] of DEVICES.entries())
    await admin('POST', `/api/v1/integrations/${integration.id}/assignments`, { deviceId, externalId: devices[at] });
  const ids = {
    '/api/v1/integrations': [String(integration.id)],
    platform: [String(settings.apiUrl), ...Object.values(credentials)],
    '/api/v1/sources': sources,
    '/api/v1/devices': DEVICES,
    '/api/v1/tokens': tokenIds,
    '/api/v1/enrolment-tokens': [enrolmentId],
    '/api/v1/sites': [String(site.id)],
    url: [...remotes.urls, remotes.receiverUrl],
  };
  const golden: Golden = {
    ...{ admin, ids, tokens, keys, commit: remotes.commit, close: remotes.close },
    restore: async () => {
      const commit = await remotes.push();
      await removeSurplus(admin, ids);
      await repair(golden, remotes);
      await repairIntegration(golden, remotes);
      await makeSpares(admin, url, remotes);
      await openConflicts(databaseUrl, String(integration.id));
      for (const id of sources.slice(0, 2)) await postHook(`${url}/hooks/${id}`, { ref: 'refs/heads/main', after: commit });
      await renewKeys(admin, url, keys);
      for (const key of keys) await converge(url, key);
    },
  };
  await makeHistory(golden, url);
  return golden;
}

/** Requests may have had a device enrolled anew, which ends its key. */
async function renewKeys(admin: Client, url: string, keys: Record<string, string>[]): Promise<void> {
  for (const [at, id] of DEVICES.entries()) {
    const answer = await fetch(`${url}/agent/v1/desired?wait=0`, { headers: keys[at] ?? {} });
    await answer.body?.cancel();
    if (answer.status !== 401) continue;
    const { apiKey } = await admin('POST', `/api/v1/devices/${id}/keys`);
    keys[at] = { 'x-device-id': id, 'x-api-key': String(apiKey) };
  }
}

/** Two commits that a device confirmed, so that a rollback is possible. */
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

async function repair({ admin, ids }: Golden, remotes: Remotes): Promise<void> {
  const sources = ids['/api/v1/sources'] ?? [];
  for (const [at, id] of sources.entries())
    await admin('PATCH', `/api/v1/sources/${id}`, { ...remotes.sources[at]?.(`golden ${at}`), rolloutPolicy: {} });
  for (const id of sources) await admin('DELETE', `/api/v1/sources/${id}/hold`);
  for (const [at, id] of DEVICES.entries()) {
    const path = at < 2 ? '' : `devices/${id}`;
    await admin('PATCH', `/api/v1/devices/${id}`, { sourceId: sources[at >> 1], path, adapter: 'agent' });
    await admin('DELETE', `/api/v1/devices/${id}/hold`);
    await admin('POST', `/api/v1/devices/${id}/start`);
    await admin('POST', `/api/v1/devices/${id}/commands`, { type: 'ping', ttlSeconds: 3600 });
  }
}

/** As at the beginning: syncing, with the platform's address and token, and with the devices that requests may have unassigned. */
async function repairIntegration({ admin, ids }: Golden, { platform }: Remotes): Promise<void> {
  const [id] = ids['/api/v1/integrations'] ?? [];
  const { settings, credentials } = platform;
  const usual = { enabled: true, direction: 'import', fields: null, fieldRules: {}, autoSync: false };
  await admin('PUT', '/api/v1/integrations/settings', { syncingEnabled: true });
  await admin('PATCH', `/api/v1/integrations/${id}`, { ...usual, settings, credentials });
  const { items } = await admin('GET', `/api/v1/integrations/${id}/assignments?limit=500`);
  const wanted = new Map(DEVICES.map((deviceId, at) => [deviceId, platform.devices[at]]));
  const kept = new Set<string>();
  for (const { deviceId, externalId } of rowsOf(items)) {
    const isRight = wanted.get(String(deviceId)) === externalId;
    if (isRight) kept.add(String(deviceId));
    // Requests may have given a golden device, or its id at the platform, to another.
    else if (wanted.has(String(deviceId)) || platform.devices.includes(String(externalId)))
      await admin('DELETE', `/api/v1/integrations/${id}/assignments/${deviceId}`);
  }
  for (const [deviceId, externalId] of wanted)
    if (!kept.has(deviceId)) await admin('POST', `/api/v1/integrations/${id}/assignments`, { deviceId, externalId });
}

/** A field that both sides changed, for each device that has none: a sync finds them only where a platform changes in time. */
async function openConflicts(databaseUrl: string, integrationId: string): Promise<void> {
  const sql = connect(databaseUrl, { max: 1 });
  for (const deviceId of DEVICES)
    await sql`
      insert into device_conflicts (organization_id, id, service_id, device_id, field, local, remote, state)
      select organization_id, ${newId()}, service_id, device_id, 'description', '"ours"', '"theirs"', 'open'
      from device_service_assignments where service_id = ${integrationId} and device_id = ${deviceId} and external_id is not null
      on conflict do nothing`;
  await sql.end({ timeout: 1 });
}

async function mintTokens(admin: Client, databaseUrl: string): Promise<{ tokens: Golden['tokens']; ids: string[]; enrolmentId: string }> {
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
  return { tokens, enrolmentId: String(enrolment.id), ids: [own?.id ?? '', String(operator.id), String(viewer.id)] };
}
