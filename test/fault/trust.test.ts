import { CompactSign, generateKeyPair } from 'jose';
import { expect, test } from 'vitest';
import type { DesiredState } from '../../src/wire/agent.ts';
import { createDevice } from '../agent/device.ts';
import { openAgentProxy } from '../support/agent-proxy.ts';
import { folder, openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

type Header = { alg: string; kid: string; typ: string };
type Jws = { header: Header; payload: DesiredState; signature: string };

function read(jws: string): Jws {
  const [header = '', payload = '', signature = ''] = jws.split('.');
  return { header: decode(header), payload: decode(payload), signature };
}

function decode<T>(part: string): T {
  return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
}

function write({ header, payload, signature }: Jws): string {
  const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url');
  return `${encode(header)}.${encode(payload)}.${signature}`;
}

test('after a real enrolment, the agent refuses any forgery of its desired state, reports it, and accepts the next good one', {
  timeout: 240_000,
}, async () => {
  await using scene = await openScene();
  const { api } = scene;
  await using proxy = await openAgentProxy(scene.service.url);
  const source = await scene.source('fleet', { layout: 'fleet' });
  const push = (vlan: number) =>
    scene.push('fleet', source, {
      'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\n',
      ...folder({ vlan }, 'devices/till/'),
      ...folder({ vlan: 4000 + vlan }, 'devices/other/'),
    });
  const { apiKey } = (await api('POST', '/devices', { id: 'other', type: 'till', sourceId: source.id })).body;
  const { token } = (await api('POST', '/enrolment-tokens', { uses: 1, sourceId: source.id })).body;
  await using device = await createDevice(proxy.url);
  for (const hook of ['reload', 'check-config']) await device.hook(hook, 'exit 0');
  device.start({}, ['--enroll', token, '--device-id', 'till']);
  const current = async () => (await device.current())?.['app.json'];
  await scene.converged('till', await push(1));
  const first = proxy.genuine.at(-1)!;
  await scene.converged('till', await push(2));

  const refusals = async () => {
    const lines: { message: string }[] = (await api('GET', '/devices/till/logs?limit=500')).body.items;
    return lines.map(({ message }) => message).filter((message) => message.startsWith('Cannot accept the desired state'));
  };
  const otherDevice = async () => {
    const headers = { 'x-device-id': 'other', 'x-api-key': apiKey };
    return (await fetch(`${scene.service.url}/agent/v1/desired?wait=0`, { headers })).text();
  };
  const stranger = (await generateKeyPair('EdDSA', { crv: 'Ed25519' })).privateKey;
  const evil = () => {
    const { header, payload, signature } = read(proxy.genuine.at(-1)!);
    const { bundle } = read(first).payload;
    return { header, payload: { ...payload, sequence: payload.sequence + 100, deploymentId: crypto.randomUUID(), bundle }, signature };
  };
  const forgeries: [what: string, forge: () => string | Promise<string>, pattern: RegExp][] = [
    [
      "signed with another key under the service's name",
      () => new CompactSign(Buffer.from(JSON.stringify(evil().payload))).setProtectedHeader(evil().header).sign(stranger),
      /signature/,
    ],
    ['another bundle under the genuine signature', () => write(evil()), /signature/],
    ['without its signature', () => write({ ...evil(), signature: '' }), /signature/],
    ['that claims to need none', () => write({ ...evil(), header: { ...evil().header, alg: 'none' }, signature: '' }), /"alg"|alg/],
    ['of the time before', () => first, /its sequence is \d+, at least \d+ is required/],
    ['of another device', otherDevice, /it is for ".*\/other", not for ".*\/till"/],
    ['that is none', () => 'welcome to the wireless network', /Invalid Compact JWS/],
  ];
  let vlan = 2;
  for (const [n, [what, forge, pattern]] of forgeries.entries()) {
    const forged = proxy.forged();
    proxy.forge(forge);
    // The agent polls repeatedly, but reports it once.
    await eventually(`the agent is reported ${what}`, async () => proxy.forged() >= forged + (n === 0 ? 2 : 1));
    const reported = await eventually(`the service hears of one ${what}`, async () => {
      const lines = await refusals();
      return lines.length > n ? lines : undefined;
    });
    expect(reported, what).toHaveLength(n + 1);
    expect(
      reported.some((line) => pattern.test(line)),
      `${what}: ${reported.join('\n')}`,
    ).toBe(true);
    expect(await current(), what).toBe(`644 {"vlan":${vlan}}`);
    proxy.forge(null);
    vlan += 1;
    await scene.converged('till', await push(vlan));
    expect(await current(), what).toBe(`644 {"vlan":${vlan}}`);
  }

  // A genuine state with the bytes of another bundle.
  proxy.swapBundles(async (answer) => {
    const { bundle } = read(first).payload;
    const headers = { 'x-device-id': 'other', 'x-api-key': apiKey };
    const old = await fetch(`${scene.service.url}/agent/v1/bundles/${bundle?.digest}`, { headers });
    return { ...answer, status: 200, body: Buffer.from(await old.arrayBuffer()) };
  });
  const last = await push(vlan + 1);
  const failed = await eventually('the attempt fails', async () => {
    const items: { error: { code: string } | null }[] = (await api('GET', '/devices/till/deployments')).body.items;
    return items.find(({ error }) => error?.code === 'download_failed');
  });
  expect(failed).toBeDefined();
  expect(await current()).toBe(`644 {"vlan":${vlan}}`);
  proxy.swapBundles(null);
  await eventually('it is tried again', async () => (await current()) === `644 {"vlan":${vlan + 1}}`, 240_000);
  await scene.converged('till', last);
});
