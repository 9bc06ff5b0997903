import { clientOf, converge, until } from '../support/actors.ts';
import type { Files, TestGitHost } from '../support/git-host.ts';
import { SIGNING_TOKEN } from '../support/hooks.ts';
import type { Plants } from './plants.ts';
import { failingRemotes, forge, notifications, platforms } from './scenario-outside.ts';

/** What was said when a request was refused, or only looked at: no secret may be in it. */
export type Said = { what: string; text: string };

const REPOSITORY = 'tills';
export const DEVICE = 'till-1';

/** Files of a device with a secret in every place where one can be. */
function filesWith(plants: Plants, version: string): Files {
  const secret = (place: string) => plants.plant(`file ${place} ${version}`);
  const schema = {
    type: 'object',
    properties: {
      door: { type: 'string', writeOnly: true, maxLength: 200 },
      lamp: { type: 'string', 'x-secret': true },
      deep: { type: 'array', items: { type: 'object', properties: { code: { type: 'string', writeOnly: true } } } },
    },
  };
  const app = {
    version,
    password: secret('by name'),
    door: secret('by writeOnly'),
    lamp: secret('by x-secret'),
    deep: [{ code: secret('by writeOnly in a list') }],
    database: `postgres://app:${secret('in a URL')}@db.internal/app`,
  };
  return {
    'bellwether.yaml':
      'apiVersion: bellwether/v1\nkind: DeviceConfig\nvalidate:\n  - { files: app.json, schema: schema.json }\nfiles:\n  - { from: "*.*" }\n',
    'schema.json': JSON.stringify(schema),
    'app.json': JSON.stringify(app, null, 2),
    'net.yaml': `version: ${version}\n# old password: ${secret('in a comment')}\nwifi:\n  psk: ${secret('in YAML')}\n`,
    'env.txt': `VERSION=${version}\nexport API_KEY=${secret('in text')}\nset user admin password ${secret('in a command line')}\n`,
    'key.pem': `-----BEGIN PRIVATE KEY-----\n${secret('in PEM')}\n-----END PRIVATE KEY-----\n`,
  };
}

export type Scenario = {
  admin: ReturnType<typeof clientOf>;
  tokens: { viewer: string; operator: string; admin: string; stranger: string };
  deviceKey: Record<string, string>;
  said: Said[];
};

/** Puts a secret into everything that takes one, and lets happen what happens with it. */
export async function playScenario(
  url: string,
  host: TestGitHost,
  plants: Plants,
  given: { admin: string; stranger: string },
): Promise<Scenario> {
  const said: Said[] = [];
  const admin = clientOf(url, given.admin);
  const ask = async (what: string, method: string, path: string, init: { headers?: Record<string, string>; body?: string } = {}) => {
    const headers = { authorization: `Bearer ${given.admin}`, 'content-type': 'application/json', ...init.headers };
    const response = await fetch(url + path, { method, headers, ...(init.body === undefined ? {} : { body: init.body }) });
    said.push({ what: `${what}: ${response.status}`, text: `${JSON.stringify([...response.headers])}\n${await response.text()}` });
  };
  const mint = async (role: string) =>
    plants.add(`${role} token`, String((await admin('POST', '/api/v1/tokens', { name: role, role })).token));
  const tokens = { ...given, viewer: await mint('viewer'), operator: await mint('operator') };
  const revoked = await admin('POST', '/api/v1/tokens', { name: 'revoked', role: 'admin' });
  plants.add('revoked token', String(revoked.token));
  await admin('DELETE', `/api/v1/tokens/${revoked.id}`);

  const sourceId = await followRepository(admin, host, plants);
  const deviceKey = await registerDevices(url, admin, plants, sourceId);
  await deployTwice(url, admin, host, plants, sourceId, deviceKey);
  await failingRemotes(admin, host, plants);
  await forge(admin, plants, ask);
  await notifications(admin, plants, ask);
  await platforms(admin, plants, ask);
  await commands(url, admin, plants, deviceKey);
  await refusals(plants, ask, sourceId);
  return { admin, tokens, deviceKey, said };
}

type Admin = Scenario['admin'];

async function followRepository(admin: Admin, host: TestGitHost, plants: Plants): Promise<string> {
  const password = plants.plant('git password');
  const repository = await host.createRepository(REPOSITORY, { user: 'alice', password });
  await host.commit(REPOSITORY, filesWith(plants, 'v1'));
  const first = { username: 'alice', password: plants.plant('git password of before') };
  const webhook = {
    provider: 'generic',
    secret: plants.plant('webhook secret of before'),
    options: { scheme: 'hmac', header: 'x-signature' },
  };
  const settings = { name: REPOSITORY, url: repository, ref: 'main', layout: 'repo', pollIntervalSeconds: 5 };
  const source = await admin('POST', '/api/v1/sources', { ...settings, auth: first, webhook });
  const azure = { provider: 'azure-devops', secret: `hook:${plants.plant('webhook password')}` };
  await admin('PATCH', `/api/v1/sources/${source.id}`, { webhook: azure });
  await admin('PATCH', `/api/v1/sources/${source.id}`, {
    auth: { username: 'alice', password },
    webhook: { provider: 'generic', secret: plants.add('webhook secret', SIGNING_TOKEN) },
  });
  return String(source.id);
}

async function registerDevices(url: string, admin: Admin, plants: Plants, sourceId: string): Promise<Record<string, string>> {
  const { apiKey } = await admin('POST', '/api/v1/devices', { id: DEVICE, sourceId });
  plants.add('device key of before', String(apiKey));
  // Its answer is kept for a repetition.
  const rotated = await admin('POST', `/api/v1/devices/${DEVICE}/keys`, undefined, { 'idempotency-key': 'rotate' });
  plants.add('device key', String(rotated.apiKey));
  await admin('POST', '/api/v1/sites', { name: 'berlin' });
  const older = await admin('POST', '/api/v1/devices/sites/berlin/devices', { device_id: 'older' });
  plants.add('older device key', String(older.api_key));
  const enrolment = await admin('POST', '/api/v1/enrolment-tokens', { uses: 2 });
  const token = plants.add('enrolment token', String(enrolment.token));
  const enrolled = await clientOf(url, token)('POST', '/agent/v1/enroll', { deviceId: 'enrolled' });
  plants.add('enrolled device key', String(enrolled.apiKey));
  return { 'x-device-id': DEVICE, 'x-api-key': String(rotated.apiKey) };
}

/** Two commits that run, a branch, and at last a head whose secrets break its schema. */
async function deployTwice(
  url: string,
  admin: Admin,
  host: TestGitHost,
  plants: Plants,
  sourceId: string,
  key: Record<string, string>,
): Promise<void> {
  const confirmed = (count: number) =>
    until(`${count} deployments are confirmed`, async () => {
      await admin('POST', `/api/v1/sources/${sourceId}/sync`);
      await converge(url, key);
      const { items } = await admin('GET', `/api/v1/devices/${DEVICE}/deployments`);
      return Array.isArray(items) && items.filter(({ state }) => state === 'succeeded').length === count;
    });
  await confirmed(1);
  await host.commit(REPOSITORY, filesWith(plants, 'v2'));
  await confirmed(2);
  await host.commit(REPOSITORY, filesWith(plants, 'branch'), { branch: 'next' });
  const broken = { door: [plants.plant('invalid writeOnly')], lamp: { code: plants.plant('invalid x-secret') } };
  await host.commit(REPOSITORY, { 'app.json': JSON.stringify({ ...broken, password: plants.plant('invalid by name') }) });
  await until('the head is refused', async () => {
    await admin('POST', `/api/v1/sources/${sourceId}/sync`);
    return (await admin('GET', `/api/v1/sources/${sourceId}`)).status === 'invalid';
  });
}

async function commands(url: string, admin: Admin, plants: Plants, key: Record<string, string>): Promise<void> {
  const payload = () => ({
    password: plants.plant('command password'),
    nested: { list: [{ apiKey: plants.plant('command key') }] },
    url: `https://u:${plants.plant('command URL')}@host/`,
  });
  await admin('POST', `/api/v1/devices/${DEVICE}/commands`, { type: 'run_command', payload: payload() });
  const { command_id: id } = await admin('POST', `/api/v1/devices/${DEVICE}/commands`, { command_type: 'run_script', payload: payload() });
  const body = JSON.stringify({ status: 'completed', result: { token: plants.plant('command result') } });
  const headers = { ...key, 'content-type': 'application/json' };
  const answer = await fetch(`${url}/api/v1/devices/${DEVICE}/commands/${id}/status`, { method: 'PUT', headers, body });
  if (!answer.ok) throw new Error(await answer.text());
}

type Ask = (what: string, method: string, path: string, init?: { headers?: Record<string, string>; body?: string }) => Promise<void>;

/** Requests that are refused with a secret in them. */
async function refusals(plants: Plants, ask: Ask, sourceId: string): Promise<void> {
  const secret = plants.plant('refused');
  const body = (value: unknown) => ({ body: JSON.stringify(value) });
  const source = { name: 'refused', layout: 'repo' };
  for (const url of [`https://u:${secret}@host/a.git`, `https://${secret}@host/a.git`, `https://host/a.git?private_token=${secret}`]) {
    await ask('a URL with credentials', 'POST', '/api/v1/sources', body({ ...source, url }));
    await ask('a change to one', 'PATCH', `/api/v1/sources/${sourceId}`, body({ url }));
  }
  const taken = { name: REPOSITORY, url: 'https://host/a.git', layout: 'repo', auth: { token: secret } };
  await ask('a name that is taken', 'POST', '/api/v1/sources', body(taken));
  await ask('auth of another shape', 'POST', '/api/v1/sources', body({ ...taken, auth: { token: secret, password: [secret] } }));
  await ask(
    'a secret that proves nothing',
    'POST',
    '/api/v1/sources',
    body({ ...taken, webhook: { provider: 'gitlab', secret: `whsec_${secret}` } }),
  );
  const platform = { type: 'golioth', credentials: { apiKey: [secret], password: secret } };
  await ask('an integration of a wrong shape', 'POST', '/api/v1/integrations', body(platform));
  await ask('the test of one', 'POST', '/api/v1/integrations/test', body(platform));
  await ask('JSON that breaks off', 'POST', '/api/v1/sources', { body: `{"auth":{"token":"${secret}"` });
  const unstorable = { type: 'run_command', payload: { password: `${secret}\u0000` } };
  await ask('what no database holds', 'POST', `/api/v1/devices/${DEVICE}/commands`, body(unstorable));
  await ask('a wrong bearer', 'GET', '/api/v1/devices', { headers: { authorization: `Bearer ${secret}` } });
  await ask('a token in the query', 'GET', `/api/v1/devices?token=${secret}&q=x`);
  await ask('a wrong device key', 'GET', '/agent/v1/desired', { headers: { 'x-device-id': DEVICE, 'x-api-key': secret } });
  await ask('a wrong enrolment token', 'POST', '/agent/v1/enroll', {
    headers: { authorization: `Bearer ${secret}` },
    ...body({ deviceId: 'x' }),
  });
  await ask('a hook with a wrong token', 'POST', `/hooks/${sourceId}`, {
    headers: { 'x-gitlab-token': secret, 'webhook-signature': secret },
    body: '{}',
  });
  await ask('a cookie', 'GET', '/api/v1/devices', { headers: { cookie: `session=${secret}` } });
}
