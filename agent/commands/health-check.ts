import { readManifest } from '../disk/release.ts';
import type { CommandType } from './command.ts';
import { runLocalHook } from './run-hook.ts';

/** Runs the health check of the running bundle once. */
export const healthCheck: CommandType = {
  async run({ agent }, _command, signal) {
    const { running } = agent.journal.state;
    const health = running === null ? undefined : (await readManifest(agent.root, running))?.apply.health;
    if (health === undefined) return { ok: true, result: { healthy: null, detail: 'The running bundle names no health check.' } };
    const outcome = await runLocalHook(agent, health.hook, health.timeoutSeconds * 1000, signal);
    return { ok: outcome.ok, result: { healthy: outcome.ok, ...outcome.result } };
  },
};
