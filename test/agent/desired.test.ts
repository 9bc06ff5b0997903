import { exportJWK, generateKeyPair } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AgentServer, makeBundle, startAgentServer } from '../support/agent-server.ts';
import { createDevice, type Device } from './device.ts';

let server: AgentServer;
let device: Device;

beforeEach(async () => {
  server = await startAgentServer();
  device = await createDevice(server.url);
});

afterEach(async () => {
  await device[Symbol.asyncDispose]();
  await server.close();
});

type Forgery = { title: string; code: string; jws: (server: AgentServer, good: object) => Promise<string> };

const later = (good: object) => ({ ...good, sequence: 100 });

const FORGERIES: Forgery[] = [
  {
    title: 'signed by a key that is not pinned, under the pinned name',
    code: 'signature',
    jws: async ({ sign }, good) => sign(later(good), { key: (await generateKeyPair('EdDSA', { crv: 'Ed25519' })).privateKey }),
  },
  {
    title: 'signed by a key that is not pinned, under its own name',
    code: 'not pinned',
    jws: async ({ sign }, good) => sign(later(good), { key: (await generateKeyPair('EdDSA', { crv: 'Ed25519' })).privateKey, kid: 'k2' }),
  },
  { title: 'of another type', code: 'type', jws: ({ sign }, good) => sign(later(good), { typ: 'JWT' }) },
  {
    title: 'not signed at all',
    code: 'Cannot accept',
    jws: (_server, good) =>
      Promise.resolve(
        `${btoa(JSON.stringify({ alg: 'none', kid: 'k1', typ: 'bellwether-desired+jwt' }))}.${btoa(JSON.stringify(later(good)))}.`.replaceAll(
          '=',
          '',
        ),
      ),
  },
  { title: 'for another device', code: 'it is for', jws: ({ sign }, good) => sign({ ...later(good), deviceId: 'terminal-2' }) },
  { title: 'of another organization', code: 'it is for', jws: ({ sign }, good) => sign({ ...later(good), organizationId: 'org-2' }) },
  {
    title: 'expired',
    code: 'expired',
    jws: ({ sign }, good) => sign({ ...later(good), expiresAt: new Date(Date.now() - 1000).toISOString() }),
  },
  { title: 'older than one that was accepted', code: 'sequence', jws: ({ sign }, good) => sign({ ...good, sequence: 6 }) },
  { title: 'of the accepted sequence with another bundle', code: 'sequence', jws: ({ sign }, good) => sign({ ...good, sequence: 7 }) },
];

test.each(FORGERIES)('the agent refuses a desired state $title, before and after a restart, and reports it', async ({ code, jws }) => {
  const running = await makeBundle({ a: 'good' });
  await server.deploy(running, 'd1', { sequence: 7 });
  const agent = device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  const evil = await makeBundle({ a: 'evil' });
  const good = server.stateOf('terminal-1', {
    deploymentId: 'd2',
    bundle: { digest: evil.digest, size: 1, url: `/agent/v1/bundles/${evil.digest}` },
  });
  server.publish(await jws(server, good), 'd2');
  const reported = () =>
    server.reports().filter((report) => report.kind === 'log' && report.message.startsWith('Cannot accept the desired state'));
  const report = await server.until('the refusal', () => reported()[0]);
  expect(report).toMatchObject({ message: expect.stringContaining(code) });
  await agent.stop();
  device.start();
  await server.until('the second refusal', () => reported()[1]);
  expect(server.requests.some(({ path }) => path === `/bundles/${evil.digest}`)).toBe(false);
  expect(server.states('d2')).toEqual([]);
  expect(await device.current()).toEqual({ a: '644 good' });
});

test('after a refusal the agent accepts the next good state', async () => {
  const other = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  expect((await exportJWK(other.publicKey)).kty).toBe('OKP');
  server.publish(await server.sign(server.stateOf('terminal-1', {}), { key: other.privateKey }), null);
  device.start();
  await server.until('a refusal', () => server.reports().find(({ kind }) => kind === 'log'));
  await server.deploy(await makeBundle({ a: '1' }), 'd1');
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
});

test('an older state of the same sequence does not undo a newer one', async () => {
  const bundle = await makeBundle({ a: '1' });
  const accepted = await server.deploy(bundle, 'd1', { sequence: 7, driftPolicy: 'heal' });
  device.start();
  await server.until('d1 succeeded', () => server.deploymentReport('d1', 'succeeded'));
  await server.desire({ ...accepted, driftPolicy: 'report', issuedAt: new Date(Date.parse(accepted.issuedAt) - 120_000).toISOString() });
  const reported = await server.until('the refusal', () => server.reports().find(({ kind }) => kind === 'log'));
  expect(reported).toMatchObject({ message: expect.stringMatching(/it was issued at .*, before the accepted one/) });
  expect((await device.state()).driftPolicy).toBe('heal');
});
