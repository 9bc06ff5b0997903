import { randomUUID } from 'node:crypto';
import type { AppOptions } from '../../src/app.ts';
import { openGitHost } from '../support/git-host.ts';
import { type Answer, eventually, openService } from '../support/service.ts';

/** How one device answers its desired bundle. `null`: with a success. */
export type Fault = { code: string; detail: string; log?: string } | null;

/** A Git host, the service, and devices that the test plays itself over the agent's protocol. */
export async function openFlock(env: Record<string, string> = {}, options: AppOptions = {}) {
  const opened = new AsyncDisposableStack();
  const host = opened.use(await openGitHost());
  const service = opened.use(await openService(env, options));
  const { api, url } = service;
  const keys = new Map<string, string>();
  const report = async (id: string, reports: readonly object[]) => {
    const headers = { 'x-device-id': id, 'x-api-key': keys.get(id) ?? '', 'content-type': 'application/json' };
    const body = JSON.stringify({ reports: reports.map((each) => ({ id: randomUUID(), at: new Date().toISOString(), ...each })) });
    const answer = await fetch(`${url}/agent/v1/reports`, { method: 'POST', headers, body, signal: AbortSignal.timeout(60_000) });
    if (!answer.ok) throw new Error(await answer.text());
  };
  const desired = async (id: string) => {
    const headers = { 'x-device-id': id, 'x-api-key': keys.get(id) ?? '' };
    const answer = await fetch(`${url}/agent/v1/desired?wait=0`, { headers, signal: AbortSignal.timeout(60_000) });
    const [, payload = ''] = (await answer.text()).split('.');
    return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as {
      deploymentId: string | null;
      bundle: { digest: string } | null;
    };
  };
  return {
    host,
    service,
    api,
    report,
    async source(name: string, settings: Record<string, unknown> = {}): Promise<{ id: string; name: string }> {
      const repository = await host.createRepository(name);
      const answer = await api('POST', '/sources', { name, url: repository, layout: 'repo', pollIntervalSeconds: 3600, ...settings });
      if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
      return answer.body;
    },
    /** @returns the commit, once its revision is stored */
    async push(
      source: { id: string; name: string },
      files: Record<string, string | null>,
      author?: string,
    ): Promise<{ commit: string; revision: string }> {
      const commit = await host.commit(source.name, files, author === undefined ? {} : { author });
      await api('POST', `/sources/${source.id}/sync`);
      const found = await eventually(`revision ${commit}`, async () =>
        (await api('GET', `/sources/${source.id}/revisions?limit=20`)).body.items.find(
          (each: { commit: string }) => each.commit === commit,
        ),
      );
      return { commit, revision: found.id };
    },
    async device(id: string, settings: Record<string, unknown> = {}): Promise<string> {
      const answer: Answer = await api('POST', '/devices', { id, ...settings });
      if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
      keys.set(id, answer.body.apiKey);
      await report(id, [{ kind: 'heartbeat', runningDigest: null, sequence: 0, agentVersion: 'test' }]);
      return id;
    },
    /** Waits for the device's next attempt, and ends it. */
    async answer(id: string, fault: Fault): Promise<string> {
      const { deploymentId, bundle } = await eventually(`${id} has an attempt`, async () => {
        const state = await desired(id);
        return state.deploymentId === null ? undefined : state;
      });
      const step = (state: string, more: object = {}) => ({ kind: 'deployment', deploymentId, state, runningDigest: null, ...more });
      if (fault === null) {
        await report(id, [step('delivering'), step('applying'), step('confirming', { runningDigest: bundle?.digest ?? null })]);
        await report(id, [step('succeeded', { runningDigest: bundle?.digest ?? null })]);
      } else {
        const { log, ...failure } = fault;
        const lines = log === undefined ? [] : [{ kind: 'log', level: 'error', message: log, deploymentId }];
        const noise = [{ kind: 'log', level: 'info', message: 'applying', deploymentId }];
        await report(id, [step('delivering'), step('applying'), ...lines, ...noise, step('failed', failure), step('rolled_back')]);
      }
      return deploymentId ?? '';
    },
    rolloutOf: async (sourceId: string) => (await api('GET', `/rollouts?sourceId=${sourceId}&limit=1`)).body.items[0],
    /** The source's newest rollout, once it has the state. */
    rollout: (source: { id: string }, state: string) =>
      eventually(`a rollout that is ${state}`, async () => {
        const [newest] = (await api('GET', `/rollouts?sourceId=${source.id}&limit=1`)).body.items;
        return newest?.state === state ? newest : undefined;
      }),
    async [Symbol.asyncDispose]() {
      await opened.disposeAsync();
    },
  };
}
