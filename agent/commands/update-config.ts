import type { CommandType } from './command.ts';

/** Checks the running files, polls the server and retries a waiting deployment, all at once. */
export const updateConfig: CommandType = {
  async run({ agent, checkDrift, hurry }) {
    const drift = agent.journal.state.attempt === null ? await checkDrift() : null;
    hurry();
    agent.pollNow.ring();
    const { sequence, running, attempt } = agent.journal.state;
    return {
      ok: true,
      result: {
        sequence,
        runningDigest: running,
        deploymentId: attempt?.deploymentId ?? null,
        changed: drift?.changed ?? [],
        healed: drift?.healed ?? false,
      },
    };
  },
};
