import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { openGitHost } from '../support/git-host.ts';

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));

test('a remote over HTTPS is read with a trusted certificate and refused with an untrusted one', async () => {
  await using host = await openGitHost();
  await host.createRepository('tls');
  await host.commit('tls', { 'a.txt': 'a' }, { message: 'over TLS' });
  const tls = { cert: await readFile(file('tls/cert.pem')), key: await readFile(file('tls/key.pem')) };
  // This server terminates TLS and forwards to the Git host.
  const front = createServer(tls, (incoming, answer) => {
    const onward = request(new URL(incoming.url ?? '/', host.url), { method: incoming.method, headers: incoming.headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    incoming.pipe(onward);
  }).listen(0, '127.0.0.1');
  await once(front, 'listening');
  const url = `https://localhost:${(front.address() as AddressInfo).port}/tls.git`;
  const read = async (env: Record<string, string>) => {
    const { stdout } = await promisify(execFile)(process.execPath, [file('https-client.ts'), url], {
      env: { PATH: process.env.PATH, ...env },
    });
    return JSON.parse(stdout) as unknown;
  };
  expect(await read({ NODE_EXTRA_CA_CERTS: file('tls/ca.pem') })).toEqual({ message: 'over TLS' });
  expect(await read({})).toMatchObject({ code: 'git_tls', detail: expect.stringMatching(/certificate; if .* NODE_EXTRA_CA_CERTS/) });
  front.closeAllConnections();
  front.close();
});
