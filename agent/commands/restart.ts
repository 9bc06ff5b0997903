import type { CommandType } from './command.ts';
import { runLocalHook } from './run-hook.ts';

/** Runs the hook `restart`. The device's owner decides whether the hook restarts the software or the device. The command fails without the hook. */
export const restart: CommandType = {
  survivesRestart: true,
  run: ({ agent }, _command, signal) => runLocalHook(agent, 'restart', agent.config.hookTimeoutSeconds * 1000, signal),
};
