import { expect, onTestFinished, test } from 'vitest';
import { mintSigningToken } from '../../src/crypto/signature.ts';
import { openHttpGateway } from '../../src/demo/vendors/http/server.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { vendorConnector } from '../../src/integration/api.ts';
import { BUILT_IN } from '../../src/integration/registry.ts';
import { checkAccount } from '../../src/integration/settings/account.ts';
import type { Json } from '../../src/wire/text/json.ts';
import { configuration, signal, stored, targetOf } from '../conformance/subject.ts';

const connect = vendorConnector({ guard: addressGuard({ allowPrivate: true }), isolate: (work) => work() });

async function open(credentials?: Record<string, string>) {
  const server = await openHttpGateway();
  onTestFinished(() => server.close());
  const id = server.addDevice({ name: 'gate' });
  const { push } = BUILT_IN.of('http').open({ settings: server.settings, credentials: credentials ?? server.credentials, connect });
  const { prepare, apply, verify, confirm, cancel } = push!;
  const target = targetOf(id);
  const deliver = async (document: Json, token: string) => {
    const prepared = stored(await prepare(target, configuration(document), signal));
    const receipt = stored(await apply(target, prepared, token, signal));
    return {
      verify: () => verify(target, prepared, receipt, token, signal),
      confirm: () => confirm!(target, prepared, receipt, signal),
      cancel: (given: Json | null = receipt) => cancel(target, prepared, given, signal),
    };
  };
  return { server, id, deliver };
}

test('a gateway that nobody answers takes the configuration back, and the delivery sees it', async () => {
  const { server, id, deliver } = await open();
  const first = await deliver({ lanes: 1 }, 't1');
  await first.confirm();
  server.expireTrials();
  expect(server.runs(id)).toEqual({ lanes: 1 });
  const second = await deliver({ lanes: 2 }, 't2');
  expect(await second.verify()).toEqual({ is: 'verified' });
  server.expireTrials();
  expect(server.runs(id)).toEqual({ lanes: 1 });
  expect(await second.verify()).toMatchObject({ is: 'pending' });
});

test('cancelling takes back a trial also when its receipt was lost, and never a confirmed configuration', async () => {
  const { server, id, deliver } = await open();
  const first = await deliver({ lanes: 1 }, 't1');
  await first.confirm();
  await first.cancel(null);
  expect(server.runs(id)).toEqual({ lanes: 1 });
  const second = await deliver({ lanes: 2 }, 't2');
  await second.cancel(null);
  expect(server.runs(id)).toEqual({ lanes: 1 });
});

test('a bundle without the document is posted as files', async () => {
  const server = await openHttpGateway();
  onTestFinished(() => server.close());
  const target = targetOf(server.addDevice({ name: 'gate' }));
  const { push } = BUILT_IN.of('http').open({ settings: server.settings, credentials: server.credentials, connect });
  const files = [{ path: 'a.txt', size: 2, sha256: 'x' }];
  const wanted = { digest: 'd', document: undefined, files, readFile: async () => Buffer.from('hi') };
  await push!.apply(target, await push!.prepare(target, wanted, signal), 't', signal);
  expect(server.runs('gate')).toEqual([{ path: 'a.txt', content: 'aGk=' }]);
});

test('a gateway with another key refuses every request', async () => {
  const { server, deliver } = await open({ signingSecret: mintSigningToken() });
  await expect(deliver({ lanes: 1 }, 't')).rejects.toMatchObject({ code: 'integration_unauthorized' });
  expect(server.requests).toHaveLength(1);
});

test.each<[Record<string, Json>, Record<string, string>, string]>([
  [{ path: '/configuration' }, {}, '/settings/path must contain "{id}"'],
  [{}, { signingSecret: 'a-plain-text-of-24-chars' }, '/credentials/signingSecret must begin with "whsec_"'],
  [{}, { signingSecret: 'whsec_no-base64-at-all!!' }, '/credentials/signingSecret must begin with "whsec_"'],
])('settings %j with credentials %j are refused', (settings, credentials, message) => {
  const given = {
    settings: { baseUrl: 'https://g.example', ...settings },
    credentials: { signingSecret: mintSigningToken(), ...credentials },
  };
  expect(() => checkAccount(BUILT_IN.of('http'), given)).toThrow(message);
});
