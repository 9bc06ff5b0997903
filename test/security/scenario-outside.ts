import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serveVendor } from '../../src/demo/vendors/vendor-server.ts';
import { type Client, until } from '../support/actors.ts';
import { gitlabServer } from '../support/forge-gitlab.ts';
import { openForgeServer } from '../support/forge-server.ts';
import type { TestGitHost } from '../support/git-host.ts';
import type { Plants } from './plants.ts';

type Ask = (what: string, method: string, path: string, init?: { body?: string }) => Promise<void>;

/** Git hosts that say the credentials back in their errors, in every way in which a host can speak. */
export async function failingRemotes(admin: Client, host: TestGitHost, plants: Plants): Promise<void> {
  const token = plants.plant('git token');
  const basic = Buffer.from(`oauth2:${token}`).toString('base64');
  const faults = {
    err: { kind: 'err', message: `access denied for ${token}` },
    cut: { kind: 'err', message: `${'x'.repeat(270)} ${token}` },
    html: { kind: 'body', body: `${token} is wrong` },
    basic: { kind: 'err', message: `cannot use Authorization: Basic ${basic}` },
    redirect: { kind: 'redirect', location: `https://oauth2:${token}@elsewhere.invalid/x.git` },
    status: { kind: 'status', status: 500, headers: { 'x-echo': token } },
  } as const;
  const ids: string[] = [];
  for (const [name, fault] of Object.entries(faults)) {
    const repository = await host.createRepository(name);
    host.fault(name, fault);
    ids.push(String((await admin('POST', '/api/v1/sources', { name, url: repository, layout: 'repo', auth: { token } })).id));
  }
  await until('all of them fail', async () => {
    const seen = await Promise.all(ids.map((id) => admin('GET', `/api/v1/sources/${id}`)));
    return seen.every(({ lastError }) => lastError !== null);
  });
}

/** A Git host's API that says the token back, and then does what it is asked. */
export async function forge(admin: Client, plants: Plants, ask: Ask): Promise<void> {
  const token = plants.plant('forge token');
  await using host = await openForgeServer(gitlabServer);
  host.state.tokens[token] = { accountId: 1, may: ['webhook', 'comment', 'status', 'account'] };
  const settings = { name: 'forge', url: host.repositoryUrl, layout: 'repo', forge: { kind: 'gitlab' }, apiToken: token };
  const { id } = await admin('POST', '/api/v1/sources', settings);
  for (const status of [400, 401, 403, 404, 500]) {
    const body = JSON.stringify({
      message: `the token ${token} is wrong`,
      error: token,
      error_description: `token=${encodeURIComponent(token)}`,
    });
    host.fault({
      kind: 'answer',
      status,
      body,
      headers: { 'content-type': 'application/json', location: `https://x/?private_token=${token}` },
    });
    await ask(`a Git host’s API that answers ${status}`, 'POST', `/api/v1/sources/${id}/webhook`);
    host.clearFaults();
  }
  await ask('a webhook that is installed', 'POST', `/api/v1/sources/${id}/webhook`);
  const [hook] = host.state.hooks;
  if (hook === undefined) throw new Error('no webhook was installed');
  plants.add('installed webhook secret', hook.secret);
}

/** A device platform that says the token back, in whatever way it fails. */
export async function platforms(admin: Client, plants: Plants, ask: Ask): Promise<void> {
  const token = plants.plant('platform token');
  let status = 401;
  const platform = await serveVendor(({ headers }) => {
    // A sync may still carry the token of before.
    const sent = String(headers.authorization).replace('Bearer ', '');
    return {
      status,
      headers: { 'x-echo': String(headers.authorization), location: `/login?token=${sent}` },
      body:
        status === 400
          ? `denied: ${headers.authorization}`
          : { message: `the token ${sent} is wrong`, error: sent, sent: String(headers.authorization) },
    };
  });
  const settings = { type: 'mobivisor', name: 'echo', settings: { apiUrl: platform.url } };
  const { slug } = await admin('POST', '/api/v1/integrations', {
    ...settings,
    credentials: { token: plants.plant('platform token of before') },
  });
  await admin('POST', `/api/v1/integrations/${slug}/credentials`, { credentials: { token }, force: true });
  const hook = await admin('POST', `/api/v1/integrations/${slug}/hook-secret`, {});
  plants.add('platform hook secret', String(hook.secret));
  for (status of [400, 401, 403, 404, 302]) {
    await ask(`a platform that answers ${status}`, 'POST', `/api/v1/integrations/${slug}/test`);
    const body = JSON.stringify({ credentials: { token } });
    await ask(`a rotation that it refuses with ${status}`, 'POST', `/api/v1/integrations/${slug}/credentials`, { body });
  }
  await admin('POST', '/api/v1/integrations:sync-all');
  await platform.close();
}

/** A receiver that says back whatever it was sent. */
export async function notifications(admin: Client, plants: Plants, ask: Ask): Promise<void> {
  const receiver = createServer((request, response) => {
    request.resume();
    response.writeHead(500, { 'x-url': request.url ?? '' }).end(`cannot take ${request.url} with ${JSON.stringify(request.headers)}`);
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/services/${plants.plant('notification URL')}`;
  const made = await admin('POST', '/api/v1/notifications', { name: 'echo', url, events: ['*'], format: 'slack' });
  plants.add('notification secret of before', String(made.secret));
  const replaced = await admin('POST', `/api/v1/notifications/${made.id}/secret`);
  plants.add('notification secret', String(replaced.secret));
  await ask('a notification that is tried', 'POST', `/api/v1/notifications/${made.id}/test`);
  await admin('POST', '/api/v1/sites', { name: 'something to tell' });
  await until('one was tried', async () => (await admin('GET', `/api/v1/notifications/${made.id}`)).status !== 'ok');
  receiver.closeAllConnections();
  await new Promise((resolve) => receiver.close(resolve));
}
