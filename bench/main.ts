import { messageOf } from '../src/errors.ts';

type Bench = (args: string[], signal: AbortSignal) => Promise<void>;

/** Each benchmark answers one question and loads on demand. */
const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  push: async () => (await import('./push.ts')).benchPush,
  poll: async () => (await import('./poll.ts')).benchPoll,
  'poll-devices': async () => (await import('./poll-devices.ts')).benchPollDevices,
  fleet: async () => (await import('./fleet.ts')).benchFleet,
  agent: async () => (await import('./agent.ts')).benchAgent,
  neighbours: async () => (await import('./neighbours.ts')).benchNeighbours,
  strangers: async () => (await import('./strangers.ts')).benchStrangers,
  integration: async () => (await import('./integration.ts')).benchIntegration,
  dashboard: async () => (await import('./dashboard.ts')).benchDashboard,
  tenants: async () => (await import('./tenants.ts')).benchTenants,
};
/** Time limit of a benchmark. */
const LIMIT_MS = 30 * 60_000;

async function main([name = '', ...args]: string[]): Promise<void> {
  const load = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
  if (load === undefined) throw new Error(`Cannot run the benchmark "${name}": must be one of ${Object.keys(BENCHES).join(', ')}`);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  const limit = setTimeout(() => stop.abort(new Error(`stopped after ${LIMIT_MS / 60_000} minutes`)), LIMIT_MS);
  const bench = await load();
  await bench(args, stop.signal).finally(() => clearTimeout(limit));
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
});
