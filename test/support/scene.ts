import { createDevice, type Device } from '../agent/device.ts';
import { openGitHost, type TestGitHost } from './git-host.ts';
import { postGitLabPush, SIGNING_TOKEN } from './hooks.ts';
import { eventually, openService, type TestService } from './service.ts';

/** A manifest with a schema for `config/app.json`, the hook `reload` and the health hook `check-config`. */
export const MANIFEST = `apiVersion: bellwether/v1
kind: DeviceConfig
validate:
  - files: "config/*.json"
    schema: schema.json
files:
  - from: config/app.json
    to: app.json
apply:
  hooks: { after: reload }
  health: { hook: check-config, timeoutSeconds: 5 }
  confirmTimeoutSeconds: 60
`;

export const SCHEMA = JSON.stringify({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  required: ['vlan'],
  properties: { vlan: { type: 'integer', minimum: 1, maximum: 4094 }, host: { type: 'string' } },
});

/** A device's folder. A `host` that ends in `.invalid` passes the schema and fails the device's health check. */
export function folder(config: unknown, prefix = ''): Record<string, string> {
  return { [`${prefix}bellwether.yaml`]: MANIFEST, [`${prefix}schema.json`]: SCHEMA, [`${prefix}config/app.json`]: JSON.stringify(config) };
}

/** A Git host, the service, and real agents on separate devices. */
export async function openScene(env: Record<string, string> = {}) {
  const host: TestGitHost = await openGitHost();
  const service: TestService = await openService(env);
  const devices: Device[] = [];
  const { api } = service;
  return {
    host,
    service,
    api,
    /** A repository with a source that follows it, with a signed GitLab hook. */
    async source(name: string, settings: Record<string, unknown> = {}) {
      const url = await host.createRepository(name);
      const answer = await api('POST', '/sources', {
        name,
        url,
        layout: 'repo',
        webhook: { provider: 'gitlab', secret: SIGNING_TOKEN },
        ...settings,
      });
      if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
      return answer.body as { id: string; hookUrl: string };
    },
    /** Commits and posts the hook. @returns the commit */
    async push(
      name: string,
      source: { hookUrl: string },
      files: Record<string, string | null>,
      options: { force?: boolean; branch?: string } = {},
    ) {
      const after = await host.commit(name, files, options);
      const response = await postGitLabPush(source.hookUrl, { after, ref: `refs/heads/${options.branch ?? 'main'}` });
      if (response.status !== 202) throw new Error(await response.text());
      return after;
    },
    /** A registered device with its hooks. `start` starts its agent. */
    async device(id: string, sourceId: string, settings: Record<string, unknown> = {}) {
      const answer = await api('POST', '/devices', { id, type: 'terminal', sourceId, ...settings });
      if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
      const device = await createDevice(service.url);
      devices.push(device);
      await device.hook('reload', 'echo reload >> "$ROOT/reloads"');
      await device.hook(
        'check-config',
        '! grep -q "\\.invalid" "$BELLWETHER_RELEASE/app.json" || { echo "host does not resolve"; exit 1; }',
      );
      const credentials = ['--device-id', id, '--api-key', answer.body.apiKey];
      return {
        ...device,
        apiKey: answer.body.apiKey as string,
        start: (env: Record<string, string> = {}, under: readonly string[] = []) => device.start(env, credentials, under),
      };
    },
    status: async (id: string) => (await api('GET', `/devices/${id}/status`)).body,
    why: async (id: string) => ((await api('GET', `/devices/${id}/why`)).body as { code: string }[]).map((blocker) => blocker.code),
    sourceNow: async (id: string) => (await api('GET', `/sources/${id}`)).body,
    /** Waits until the device runs its folder's content at `commit`, or at the source's head. */
    converged: (id: string, commit?: string) =>
      eventually(`${id} converges`, async () => {
        const { converged, folder: seen, device, source } = (await api('GET', `/devices/${id}/status`)).body;
        return (
          converged && seen?.bundle && device.reported?.bundle === seen.bundle && (commit === undefined || source.headCommit === commit)
        );
      }),
    async [Symbol.asyncDispose]() {
      for (const device of devices) await device[Symbol.asyncDispose]();
      await service.close();
      await host.close();
    },
  };
}
