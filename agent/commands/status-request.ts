import { AGENT_VERSION } from '../context.ts';
import { runningDigest } from '../disk/release.ts';
import type { CommandType } from './command.ts';

/** Reports the state of the agent and of its device's deployment. */
export const statusRequest: CommandType = {
  async run({ agent }) {
    const { sequence, running, previous, quarantined, attempt, driftPolicy } = agent.journal.state;
    return {
      ok: true,
      result: {
        agentVersion: AGENT_VERSION,
        runningDigest: await runningDigest(agent.root),
        confirmedDigest: running,
        previousDigest: previous,
        sequence,
        quarantined,
        driftPolicy,
        deployment: attempt && { deploymentId: attempt.deploymentId, phase: attempt.phase, digest: attempt.digest },
        reportsWaiting: agent.outbox.waiting,
        uptimeSeconds: Math.round(process.uptime()),
      },
    };
  },
};
