import type { CommandType } from './command.ts';
import { runLocalHook } from './run-hook.ts';

/** Runs the hook `restart`: what restarting means, the software or the device, its owner decides. Without the hook it fails. */
export const restart: CommandType = {
  survivesRestart: true,
  run: ({ agent }, _command, signal) => runLocalHook(agent, 'restart', agent.config.hookTimeoutSeconds * 1000, signal),
};
