import type { CommandType } from './command.ts';

/** Looks at the running files now, asks the server now, and tries now what waits to be tried again. */
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
