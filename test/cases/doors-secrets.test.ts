import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readAgentConfig } from '../../agent/config.ts';
import { readIdentity } from '../../agent/server/identity.ts';
import { readConfig } from '../../src/config.ts';
import { secretText, tokenText } from '../../src/wire/text/secret-text.ts';
import { createDevice } from '../agent/device.ts';
import { run } from '../cli/server.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { ADMIN_TOKEN, openService, type TestService } from '../support/service.ts';

const SECRET = 'glpat-0123456789abcdef';
const AROUND = 'begins or ends with white space: give it without';
const INSIDE = 'has a line feed inside, must be one line: was more than the secret pasted?';

let host: TestGitHost;
let service: TestService;
let url: string;
beforeAll(async () => {
  host = await openGitHost();
  service = await openService({ BELLWETHER_ADMIN_TOKEN: `${ADMIN_TOKEN}\n` });
  url = await host.createRepository('private', { user: 'robot', password: SECRET });
  await host.commit('private', { a: 'b' });
});
afterAll(async () => {
  await service?.close();
  await host?.close();
});

describe('a secret', () => {
  const limits = { min: 1, max: 100 };
  test.each([SECRET, `${SECRET}\n`, `${SECRET}\r\n`, `${SECRET}\n\n`])('%j is taken without its line end', (text) => {
    expect(secretText(limits).parse(text)).toBe(SECRET);
    expect(tokenText(limits).parse(text)).toBe(SECRET);
  });

  test.each([
    [`${SECRET} `, AROUND],
    [`${SECRET} \n`, AROUND],
    [`\t${SECRET}`, AROUND],
    [`\n${SECRET}`, AROUND],
    [`\uFEFF${SECRET}`, AROUND],
    [`${SECRET}\nother`, INSIDE],
    [`${SECRET}\0x`, 'has a control character inside, must be printable text'],
    ['\n', 'must have at least 1 character'],
  ])('%j is refused', (text, fault) => {
    for (const schema of [secretText(limits), tokenText(limits)])
      expect(schema.safeParse(text).error?.issues.map(({ message }) => message)).toEqual([fault]);
  });

  test('a password may have spaces and letters of any language inside, a token may not', () => {
    expect(secretText(limits).parse('correct horse päßword')).toBe('correct horse päßword');
    expect(tokenText(limits).safeParse('correct horse').error?.issues[0]?.message).toContain('without spaces inside');
  });
});

const source = { layout: 'repo' };

test.each<[string, (secret: string) => Record<string, unknown>, string]>([
  ['a password', (password) => ({ auth: { username: 'robot', password } }), '/auth/password'],
  ['a Git token', (token) => ({ auth: { token } }), '/auth/token'],
  ['a hook secret', (secret) => ({ webhook: { provider: 'gitlab', secret } }), '/webhook/secret'],
  ['a token of the host’s API', (apiToken) => ({ apiToken, forge: { kind: 'gitlab' } }), '/apiToken'],
])('%s through the API: a line end goes, white space is refused at once', async (name, settings, pointer) => {
  const create = (secret: string) => service.api('POST', '/sources', { ...source, url, name, ...settings(secret) });
  for (const [secret, fault] of [
    [`${SECRET} `, AROUND],
    [`${SECRET}\n${SECRET}`, INSIDE],
  ] as const) {
    const refused = await create(secret);
    expect(refused.status).toBe(400);
    expect(JSON.stringify(refused.body)).toContain(fault);
    expect(JSON.stringify(refused.body)).toContain(pointer);
    expect(JSON.stringify(refused.body)).not.toContain(SECRET);
  }
  const taken = await create(`${SECRET}\n`);
  expect(taken.status, JSON.stringify(taken.body)).toBe(201);
  await service.api('DELETE', `/sources/${taken.body.id}`);
});

test('a password with a line end opens the repository, from the environment of the command line too', async () => {
  const auth = { username: 'robot\n', password: `${SECRET}\r\n` };
  const made = await service.api('POST', '/sources', { ...source, url, name: 'by-api', auth });
  expect((await service.api('POST', `/sources/${made.body.id}/test`)).body).toMatchObject({ ok: true });
  const env = { BELLWETHER_SERVER: service.url, BELLWETHER_TOKEN: `${ADMIN_TOKEN}\n`, BELLWETHER_GIT_PASSWORD: `${SECRET}\n` };
  const ran = await run(['sources', 'create', '--name', 'by-cli', '--url', url, '--git-username', 'robot', '--json'], env);
  expect(ran).toMatchObject({ code: 0, err: '' });
  expect((await run(['sources', 'test', JSON.parse(ran.out).id], env)).code).toBe(0);
});

test.each([
  ['', 'Cannot authenticate: give an API token with --token or in BELLWETHER_TOKEN'],
  [`${ADMIN_TOKEN} `, `Cannot authenticate: the API token ${AROUND}`],
  [`${ADMIN_TOKEN}\nx`, `Cannot authenticate: the API token ${INSIDE}`],
])('the command line refuses the token %j', async (token, message) => {
  const ran = await run(['sources', 'list'], { BELLWETHER_SERVER: service.url, BELLWETHER_TOKEN: token });
  expect(ran).toMatchObject({ code: 2, err: `${message}\n` });
});

test('the service takes its settings without their line ends', () => {
  const config = readConfig({ BELLWETHER_ADMIN_TOKEN: `${ADMIN_TOKEN}\n`, TRUST_PROXY: 'true\r', PUBLIC_URL: 'https://a.example/bw\n' });
  expect(config).toMatchObject({ BELLWETHER_ADMIN_TOKEN: ADMIN_TOKEN, TRUST_PROXY: true, PUBLIC_URL: 'https://a.example/bw' });
  expect(() => readConfig({ BELLWETHER_ADMIN_TOKEN: `${ADMIN_TOKEN} ` })).toThrow(`BELLWETHER_ADMIN_TOKEN: ${AROUND}`);
});

test('the agent takes its key and its enrolment token without their line ends', async () => {
  const args = ['--server', 'http://127.0.0.1:1', '--root', '/tmp/x'];
  expect(readAgentConfig(args, { BELLWETHER_AGENT_ENROLL: 'bwe_x\n', BELLWETHER_AGENT_DEVICE_ID: 'till\r\n' })).toMatchObject({
    enroll: 'bwe_x',
    deviceId: 'till',
  });
  expect(readAgentConfig([...args, '--api-key', 'bwd_x\n'], {}).apiKey).toBe('bwd_x');
  expect(() => readAgentConfig([...args, '--api-key', 'bwd_x '], {})).toThrow(`apiKey: ${AROUND}`);
  expect(() => readAgentConfig([...args, '--enroll', 'bwe_x\nbwe_y'], {})).toThrow(`enroll: ${INSIDE}`);
});

test('an agent enrols with a token that was printed into its variable', async () => {
  const { token } = (await service.api('POST', '/enrolment-tokens', { uses: 1 })).body;
  await using device = await createDevice(service.url);
  const agent = device.start({ BELLWETHER_AGENT_ENROLL: `${token}\n` }, ['--device-id', 'printed']);
  await expect.poll(() => agent.log(), { timeout: 60_000 }).toContain('agent started');
});

test('an identity file whose key was edited by hand', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bellwether-secrets-'));
  const file = join(folder, 'identity.json');
  const identity = { deviceId: 'till', organizationId: 'o', signingKeys: [{ kty: 'OKP', crv: 'Ed25519', x: 'x', kid: 'k' }] };
  await writeFile(file, JSON.stringify({ ...identity, apiKey: 'bwd_x\n' }));
  expect((await readIdentity(file))?.apiKey).toBe('bwd_x');
  await rm(folder, { recursive: true });
});
