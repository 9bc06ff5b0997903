import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startMobivisor } from '../../src/demo/vendors/mobivisor/server.ts';
import { giteaServer } from '../support/forge-gitea.ts';
import { openForgeServer, TOKEN } from '../support/forge-server.ts';
import { openGitHost } from '../support/git-host.ts';
import { SIGNING_TOKEN } from '../support/hooks.ts';

/** The service's remotes: Git hosts, one with an API, a receiver that accepts all notifications, and a device platform. */
export type Remotes = {
  /** Settings of sources: the repository of a single device, of a fleet, and of a host with an API. */
  sources: readonly ((name: string) => Record<string, unknown>)[];
  urls: readonly string[];
  receiverUrl: string;
  /** Settings and credentials of an integration with the platform, and ids of its devices. */
  platform: { type: string; settings: Record<string, unknown>; credentials: Record<string, string>; devices: readonly string[] };
  /** The newest commit of the first repository. */
  commit(): string;
  /** Adds a commit to each repository. */
  push(): Promise<string>;
  close(): Promise<void>;
};

const PLATFORM_DEVICES = 12;
const REPOSITORIES = { single: 'single', fleet: 'fleet', forge: 'fleet/tills' } as const;

export async function openRemotes(): Promise<Remotes> {
  const host = await openGitHost();
  const [single, fleet] = [await host.createRepository(REPOSITORIES.single), await host.createRepository(REPOSITORIES.fleet)];
  await host.createRepository(REPOSITORIES.forge, { user: 'oauth2', password: TOKEN });
  const forge = await openForgeServer(giteaServer, { gitUrl: host.url });
  const receiver = createServer((request, response) => {
    request.resume();
    response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const platform = await startMobivisor();
  const devices = Array.from({ length: PLATFORM_DEVICES }, (_, at) => platform.addDevice({ name: `tablet ${at}` }));
  const webhook = { provider: 'generic', secret: SIGNING_TOKEN };
  const usual = { ref: 'main', pollIntervalSeconds: 5, webhook };
  let [commit, commits] = ['', 0];
  return {
    sources: [
      (name) => ({ ...usual, name, url: single, layout: 'repo' }),
      (name) => ({ ...usual, name, url: fleet, layout: 'fleet' }),
      (name) => ({ name, url: forge.repositoryUrl, layout: 'repo', forge: { kind: 'gitea' }, auth: { token: TOKEN } }),
    ],
    urls: [single, fleet, forge.repositoryUrl],
    receiverUrl: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/notify`,
    platform: { type: 'mobivisor', settings: platform.settings, credentials: platform.credentials, devices },
    commit: () => commit,
    push: async () => {
      commits += 1;
      const content = JSON.stringify({ commits });
      await host.commit(REPOSITORIES.fleet, {
        'fleet.yaml': 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\n',
        'devices/golden-2/app.json': content,
        'devices/golden-3/app.json': commits % 3 === 0 ? '{' : '{}',
      });
      await host.commit(REPOSITORIES.forge, { 'app.json': content });
      commit = await host.commit(REPOSITORIES.single, { 'app.json': content });
      return commit;
    },
    close: async () => {
      receiver.closeAllConnections();
      await new Promise((resolve) => receiver.close(resolve));
      await platform.close();
      await forge.close();
      await host.close();
    },
  };
}
