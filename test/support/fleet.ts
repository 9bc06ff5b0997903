import type { AppOptions } from '../../src/app.ts';
import type { Behaviour } from '../../src/simulate/behaviour.ts';
import { enrollDevices } from '../../src/simulate/enroll.ts';
import { runSimulation } from '../../src/simulate/run.ts';
import { openGitHost } from './git-host.ts';
import { eventually, openService } from './service.ts';

export type FleetSource = { id: string; name: string };
type Running = { id: string; syncStatus: string; desired: { bundle: string | null }; reported: { bundle: string | null } };
type Wave = { name: string; offline: number; open: number; succeeded: number; failed: number };
type Started = { stop(): Promise<void> };

/** A Git host, the service, and simulated devices that enrol over the real protocol. */
export async function openFleet(env: Record<string, string> = {}, options: AppOptions = {}) {
  const opened = new AsyncDisposableStack();
  const host = opened.use(await openGitHost());
  const service = opened.use(await openService(env, options));
  const { api } = service;
  const running = new Set<Started>();
  const rolloutOf = async (sourceId: string) => {
    const { status, body } = await api('GET', `/rollouts?sourceId=${sourceId}&limit=1`);
    if (status !== 200) throw new Error(JSON.stringify(body));
    return body.items[0];
  };
  return {
    host,
    service,
    api,
    /** A repository of layout `repo`: one configuration for all devices that follow it. */
    async source(name: string, settings: Record<string, unknown> = {}, login?: { user: string; password: string }): Promise<FleetSource> {
      const url = await host.createRepository(name, login);
      const auth = login === undefined ? {} : { auth: { username: login.user, password: login.password } };
      const answer = await api('POST', '/sources', { name, url, layout: 'repo', pollIntervalSeconds: 5, ...auth, ...settings });
      if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
      return answer.body;
    },
    /** Commits and triggers a check of the source. @returns the commit, once its revision is stored */
    async push(source: FleetSource, files: Record<string, string | null>, options: { author?: string } = {}): Promise<string> {
      const commit = await host.commit(source.name, files, options);
      await api('POST', `/sources/${source.id}/sync`);
      await eventually(`revision ${commit}`, async () =>
        (await api('GET', `/sources/${source.id}/revisions?limit=5`)).body.items.some(
          (revision: { commit: string }) => revision.commit === commit,
        ),
      );
      return commit;
    },
    /** @returns id and key of `<prefix>-0001` and so on */
    async enrol(source: FleetSource, count: number, prefix: string, settings: Record<string, unknown> = {}) {
      const { token } = (await api('POST', '/enrolment-tokens', { uses: count, sourceId: source.id, ...settings })).body;
      return enrollDevices({ server: service.url, token, count, prefix, signal: AbortSignal.timeout(180_000) });
    },
    /** Runs the devices until `stop` or the end of the scene. It resolves when each of them polled. */
    async run(devices: readonly { id: string; apiKey: string }[], behaviour: Partial<Behaviour> = {}): Promise<Started> {
      const ending = new AbortController();
      const ready = new Set<string>();
      const done = runSimulation({
        server: service.url,
        devices: [...devices],
        ...behaviour,
        signal: ending.signal,
        onState: (event) => void (event.kind === 'ready' && ready.add(event.deviceId)),
      });
      const started: Started = {
        stop: async () => {
          ending.abort();
          await done;
          running.delete(started);
        },
      };
      running.add(started);
      await eventually('devices poll', async () => ready.size === devices.length);
      const ids = devices.map((device) => device.id);
      await eventually('devices are online', async () => {
        const [row] = await service.database.sql<
          [{ n: number }]
        >`select count(*)::int as n from devices where id = any(${ids}) and connectivity = 'online'`;
        return row.n === ids.length;
      });
      return started;
    },
    rolloutOf,
    wavesOf: async (rolloutId: string): Promise<Wave[]> => (await api('GET', `/rollouts/${rolloutId}`)).body.waves,
    /** The source's newest rollout, with its waves, once it has that state (and that commit's revision). */
    rollout: (source: FleetSource, state: string) =>
      eventually(`a rollout of ${source.name} that is ${state}`, async () => {
        const newest = await rolloutOf(source.id);
        return newest?.state === state ? (await api('GET', `/rollouts/${newest.id}`)).body : undefined;
      }),
    device: async (id: string): Promise<Running> => (await api('GET', `/devices/${id}`)).body,
    devices: async (source: FleetSource): Promise<Running[]> => (await api('GET', `/devices?source=${source.id}&limit=500`)).body.items,
    why: async (id: string) => (await api('GET', `/devices/${id}/why`)).body as { code: string; detail: string }[],
    /** Ids of devices with a begun attempt of the rollout. */
    touched: async (rolloutId: string) =>
      (
        await service.database.sql<{ id: string }[]>`
          select distinct device_id as id from deployments where rollout_id = ${rolloutId} and delivering_at is not null order by 1`
      ).map((row) => row.id),
    async [Symbol.asyncDispose]() {
      for (const started of running) await started.stop();
      await opened.disposeAsync();
    },
  };
}
